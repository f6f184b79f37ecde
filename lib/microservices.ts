export {
  ClientProxyBroker,
  type ClientProxyBrokerOptions,
} from './brokers/microservices/client-proxy.broker.js';
export { InMemoryContext, InMemoryTransport } from './brokers/microservices/in-memory.transport.js';
export { RedisStreamsContext } from './brokers/microservices/redis-streams.context.js';
export { RedisStreamsTransport } from './brokers/microservices/redis-streams.transport.js';
export type { RedisClient, RedisStreamsTransportOptions } from './brokers/redis/transport-options.js';
