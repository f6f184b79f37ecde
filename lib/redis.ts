export type { RedisStreamsBrokerOptions } from './brokers/redis/redis-options.js';
export { RedisStreamsBroker } from './brokers/redis/redis-streams-broker.js';
