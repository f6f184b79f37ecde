import type { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { consumerOf } from '../inbox/consumer.js';
import { InboxTransportError } from '../saga/state/errors.js';

export interface InboxExplorerSettings {
  readonly discovery: DiscoveryService;
  readonly scanner: MetadataScanner;
}

export interface ConsumingHandler {
  readonly consumer: string;
  readonly method: object;
  /** As texts; of Nest's own metadata. */
  readonly patterns: readonly string[];
  readonly transport: unknown;
}

/**
 * How many consumers get each message of a handler: a message is settled when the last of them is done with it.
 * @throws InboxTransportError where that would depend on the message
 */
export function exploreConsumers(settings: InboxExplorerSettings): ReadonlyMap<object, number> {
  const handlers = handlersOf(settings);
  return new Map(
    handlers.map((one) => {
      const sharing = handlers.filter((other) => share(one, other));
      const odd = sharing.find((other) => !isSame(one, other));
      if (odd)
        throw new InboxTransportError(
          `@IdempotentConsumer("${one.consumer}") and ("${odd.consumer}") share some patterns or transports, but not all: give them the same ones, or none in common`,
        );
      return [one.method, sharing.length];
    }),
  );
}

function share(one: ConsumingHandler, other: ConsumingHandler): boolean {
  const meet =
    one.transport === other.transport || one.transport === undefined || other.transport === undefined;
  return meet && one.patterns.some((pattern) => other.patterns.includes(pattern));
}

function isSame(one: ConsumingHandler, other: ConsumingHandler): boolean {
  return one.transport === other.transport && one.patterns.join() === other.patterns.join();
}

/** Of all `@IdempotentConsumer`. */
export function handlersOf({ discovery, scanner }: InboxExplorerSettings): readonly ConsumingHandler[] {
  return discovery.getControllers().flatMap(({ instance, metatype }) => {
    const prototype = (metatype as { prototype?: object } | null)?.prototype;
    if (!instance || !prototype) return [];
    return scanner.getAllMethodNames(prototype).flatMap((name) => {
      const method = (prototype as Record<string, unknown>)[name];
      return typeof method === 'function' ? handlerOf(method) : [];
    });
  });
}

function handlerOf(method: object): readonly ConsumingHandler[] {
  const consumer = consumerOf(method);
  if (!consumer) return [];
  const patterns = (Reflect.getMetadata('microservices:pattern', method) ?? []) as readonly unknown[];
  const transport: unknown = Reflect.getMetadata('microservices:transport', method);
  return [{ consumer: consumer.name, method, patterns: patterns.map((it) => JSON.stringify(it)), transport }];
}
