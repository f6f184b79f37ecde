import type { ModulesContainer } from '@nestjs/core';
import type { Log } from '../runtime/log.js';
import { InboxTransportError } from '../saga/state/errors.js';
import { handlersOf, type ConsumingHandler, type InboxExplorerSettings } from './inbox-explorer.js';

export interface RabbitMqServersSettings extends InboxExplorerSettings {
  readonly modules: ModulesContainer;
  readonly log: Log;
}

/** What is known of a server of Nest for RabbitMQ. */
interface RabbitMqServer {
  readonly noAck?: unknown;
  readonly queue?: string;
  readonly queueOptions?: QueueOptions;
  readonly options?: { readonly noAssert?: boolean };
  listen(callback: (error?: unknown) => void): unknown;
}

interface QueueOptions {
  readonly noAssert?: boolean;
  readonly deadLetterExchange?: string;
  readonly overflow?: string;
  readonly arguments?: Readonly<Record<string, unknown>>;
}

const SAFE = {
  'x-queue-type': 'quorum',
  'x-dead-letter-strategy': 'at-least-once',
  'x-overflow': 'reject-publish',
};

/**
 * One that takes messages for done when it hands them out loses those whose handlers fail, inbox or not. A server may
 * listen before the hooks of the application are called, so one like that is kept from it when it is made. One that may
 * lose dead letters is warned of.
 * @returns throws InboxTransportError when there is one of the first kind
 */
export function watchRabbitMqServers(settings: RabbitMqServersSettings): () => void {
  let refusal: InboxTransportError | undefined;
  settings.modules.getRpcTargetRegistry<RabbitMqServer>().subscribe((server) => {
    const [first] = typeof server.noAck === 'boolean' ? handlersOf(settings) : [];
    if (!first) return;
    if (server.noAck) {
      const error = (refusal = takesForDone(first));
      server.listen = (callback) => callback(error);
    } else {
      const warning = unsafeDeadLetters(server);
      if (warning !== undefined) settings.log.warn(warning);
    }
  });
  return () => {
    if (refusal) throw refusal;
  };
}

function takesForDone({ consumer }: ConsumingHandler): InboxTransportError {
  return new InboxTransportError(
    `a RabbitMQ transport acknowledges messages before they are processed, so @IdempotentConsumer("${consumer}") could lose some: set noAck: false in its options`,
  );
}

/**
 * What may become of messages that are given up, by the options that the server declares its queue with. RabbitMQ hands
 * dead letters on without confirms, unless all three of `SAFE` are set (rabbitmq.com, "At-least-once dead lettering").
 * @returns undefined where they are safe, or where the queue was made by others
 */
function unsafeDeadLetters({ queue, queueOptions = {}, options }: RabbitMqServer): string | undefined {
  const { deadLetterExchange, overflow, arguments: given } = queueOptions;
  if (options?.noAssert ?? queueOptions.noAssert) return undefined;
  const args = { 'x-dead-letter-exchange': deadLetterExchange, 'x-overflow': overflow, ...given };
  if (args['x-dead-letter-exchange'] === undefined)
    return `RabbitMQ queue "${queue}" has no dead-letter exchange in its options: unless a policy names one, messages that are given up are dropped`;
  const missing = Object.entries(SAFE).filter(
    ([name, value]) => (args as Record<string, unknown>)[name] !== value,
  );
  if (missing.length === 0) return undefined;
  const wanted = missing.map(([name, value]) => `${name}: ${value}`).join(', ');
  return `RabbitMQ queue "${queue}" loses dead letters when the server crashes: its arguments should say ${wanted}`;
}
