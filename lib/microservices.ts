export {
  ClientProxyBroker,
  type ClientProxyBrokerOptions,
} from './brokers/microservices/client-proxy.broker.js';
export { InMemoryContext, InMemoryTransport } from './brokers/microservices/in-memory.transport.js';
