import type { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { consumerOf } from '../inbox/consumer.js';
import { InboxTransportError } from '../saga/state/errors.js';

export interface InboxExplorerSettings {
  readonly discovery: DiscoveryService;
  readonly scanner: MetadataScanner;
}

export interface ConsumingHandler {
  readonly consumer: string;
  /** Class and method, for people. */
  readonly place: string;
  readonly owner: object;
  readonly method: object;
  readonly isEvent: boolean;
  /** As texts; of Nest's own metadata. */
  readonly patterns: readonly string[];
  readonly transport: unknown;
}

/** `PatternHandler.EVENT` of Nest: a message without a reply. */
const EVENT = 2;

/**
 * How many consumers get each message of a handler: a message is settled when the last of them is done with it.
 * @throws InboxTransportError where that would depend on the message, or where a consumer would never get one
 */
export function exploreConsumers(settings: InboxExplorerSettings): ReadonlyMap<object, number> {
  const handlers = handlersOf(settings);
  for (const { consumer, place, isEvent } of handlers)
    if (!isEvent)
      throw new InboxTransportError(
        `@IdempotentConsumer("${consumer}"): ${place} has no @EventPattern; for anything else call inbox.process`,
      );
  return new Map(
    handlers.map((one) => {
      const sharing = handlers.filter((other) => share(one, other));
      for (const other of sharing) checkTogether(one, other);
      return [one.method, sharing.length];
    }),
  );
}

function checkTogether(one: ConsumingHandler, other: ConsumingHandler): void {
  if (!isSame(one, other))
    throw new InboxTransportError(
      `@IdempotentConsumer("${one.consumer}") and ("${other.consumer}") share some patterns or transports, but not all: give them the same ones, or none in common`,
    );
  // A controller of two modules is found twice, and does the same both times.
  const isAnother = one.owner !== other.owner || one.method !== other.method;
  if (isAnother && one.consumer === other.consumer)
    throw new InboxTransportError(
      `@IdempotentConsumer("${one.consumer}") is the name of ${one.place} and of ${other.place}, which get the same messages: the second would take each for a repeat; give it a name of its own`,
    );
}

function share(one: ConsumingHandler, other: ConsumingHandler): boolean {
  const meet =
    one.transport === other.transport || one.transport === undefined || other.transport === undefined;
  // Of two patterns that match one event Nest calls one handler only, unless they are the same.
  const overlaps = (pattern: string) => other.patterns.some((it) => match(wordsOf(pattern), wordsOf(it)));
  return meet && one.patterns.some(overlaps);
}

/** Whether one event can match both. Wildcards as RabbitMQ has them: `*` is one word, `#` any number. */
function match(one: readonly string[], other: readonly string[]): boolean {
  const [[first, ...rest], [opposite, ...others]] = [one, other];
  if (first === '#') return match(rest, other) || (opposite !== undefined && match(one, others));
  if (opposite === '#') return match(other, one);
  if (first === undefined || opposite === undefined) return first === opposite;
  return (first === opposite || first === '*' || opposite === '*') && match(rest, others);
}

function wordsOf(pattern: string): readonly string[] {
  return pattern.replace(/^"|"$/g, '').split('.');
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
      return typeof method === 'function' ? handlerOf(method as Method, prototype) : [];
    });
  });
}

function handlerOf(method: Method, owner: object): readonly ConsumingHandler[] {
  const consumer = consumerOf(method);
  if (!consumer) return [];
  const place = `${owner.constructor.name}.${method.name}`;
  const isEvent = Reflect.getMetadata('microservices:handler_type', method) === EVENT;
  const patterns = (Reflect.getMetadata('microservices:pattern', method) ?? []) as readonly unknown[];
  const transport: unknown = Reflect.getMetadata('microservices:transport', method);
  const texts = patterns.map((it) => JSON.stringify(it));
  return [{ consumer: consumer.name, place, owner, method, isEvent, patterns: texts, transport }];
}

type Method = (...args: never) => unknown;
