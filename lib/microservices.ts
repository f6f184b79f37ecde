export { InMemoryContext, InMemoryTransport } from './brokers/microservices/in-memory.transport.js';
