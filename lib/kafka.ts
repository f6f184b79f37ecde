export { KafkaBroker } from './brokers/kafka/kafka-broker.js';
export type { KafkaBrokerOptions } from './brokers/kafka/kafka-options.js';
