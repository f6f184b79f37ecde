export { RabbitMqBroker } from './brokers/rabbitmq/rabbitmq-broker.js';
export type { RabbitMqBrokerOptions } from './brokers/rabbitmq/rabbitmq-options.js';
