import type { DiscoveryService, MetadataScanner, ModulesContainer } from '@nestjs/core';
import { consumerOf } from '../inbox/consumer.js';
import { InboxTransportError } from '../saga/state/errors.js';

interface Settings {
  readonly discovery: DiscoveryService;
  readonly scanner: MetadataScanner;
  readonly modules: ModulesContainer;
}

/** What is known of a server of Nest for RabbitMQ. */
interface Server {
  readonly noAck?: unknown;
}

/**
 * A transport that takes messages for done when it hands them out loses those whose handlers fail, inbox or not.
 * @throws InboxTransportError
 */
export function refuseNoAck({ discovery, scanner, modules }: Settings): void {
  const names = discovery.getControllers().flatMap(({ instance, metatype }) => {
    const prototype = (metatype as { prototype?: object } | null)?.prototype;
    if (!instance || !prototype) return [];
    return scanner.getAllMethodNames(prototype).flatMap((method) => {
      const handler = (prototype as Record<string, unknown>)[method];
      return typeof handler === 'function' ? (consumerOf(handler)?.name ?? []) : [];
    });
  });
  if (names.length === 0) return;
  // It replays those that are there, and calls at once.
  let careless = false;
  modules
    .getRpcTargetRegistry<Server>()
    .subscribe((server) => (careless ||= server.noAck === true))
    .unsubscribe();
  if (!careless) return;
  throw new InboxTransportError(
    `a RabbitMQ transport acknowledges messages before they are processed, so @IdempotentConsumer("${names[0]}") could lose some: set noAck: false in its options`,
  );
}
