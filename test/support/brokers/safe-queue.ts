/** Options of a queue whose dead letters outlive a crash of RabbitMQ: docs/guides/consuming.md. @param dead queue that takes them */
export function safeQueue(dead: string) {
  return {
    ...{ durable: true, deadLetterExchange: '', deadLetterRoutingKey: dead, overflow: 'reject-publish' },
    arguments: { 'x-queue-type': 'quorum', 'x-dead-letter-strategy': 'at-least-once' },
  };
}
