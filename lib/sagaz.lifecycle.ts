import {
  Inject,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import { DiscoveryService, MetadataScanner, ModulesContainer } from '@nestjs/core';
import { exploreConsumers } from './discovery/inbox-explorer.js';
import { exploreListeners } from './discovery/listener-explorer.js';
import { feed } from './discovery/listener-feed.js';
import { watchRabbitMqServers } from './discovery/rabbitmq-servers.js';
import { exploreSagas } from './discovery/saga-explorer.js';
import { logEvents } from './observability/logging/event-log.js';
import type { ResolvedOptions } from './options/resolve-options.js';
import { isDataSource } from './persistence/typeorm/application-data-source.js';
import { DuplicateCopyError, SagazOptionsError } from './saga/state/errors.js';
import type { SagazRuntime } from './sagaz-runtime.js';
import { LIFECYCLE, RESOLVED_OPTIONS, SAGAZ_RUNTIME } from './sagaz.tokens.js';

/**
 * Starts and stops the library with the application. Nest calls the hooks of its modules by their distance from the
 * root: start-up ends there and shutdown begins there. This module takes a place before the root, so that recovery
 * never meets a client that is not ready, and the drain never one that is closed, whatever the order of imports.
 */
export class SagazLifecycle
  implements OnModuleInit, OnApplicationBootstrap, OnModuleDestroy, OnApplicationShutdown
{
  private readonly log = new Logger('SagazModule');
  private readonly events = new Logger('Sagaz');
  /** Each ends one subscription of a listener. */
  private feeds: readonly (() => void)[] = [];
  private readonly checkTransports: () => void;

  constructor(
    @Inject(SAGAZ_RUNTIME) private readonly runtime: SagazRuntime,
    @Inject(RESOLVED_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(MetadataScanner) private readonly scanner: MetadataScanner,
    @Inject(ModulesContainer) modules: ModulesContainer,
  ) {
    for (const module of modules.values()) {
      if (module.providers.has(LIFECYCLE)) module.distance = 0;
    }
    this.checkTransports = watchRabbitMqServers({ discovery, scanner, modules, log: this.log });
  }

  async onModuleInit(): Promise<void> {
    this.refuseSecondModule();
    this.refuseUnnamedChoice();
    const { runtime, discovery, scanner, log } = this;
    this.checkTransports();
    const sharing = exploreConsumers({ discovery, scanner });
    const { registry } = runtime;
    exploreSagas({ discovery, scanner, log, registry });
    const listeners = exploreListeners({ discovery, scanner, registry });
    await runtime.open();
    runtime.consumers.begin(sharing);
    const workerId = this.options.worker.id;
    const debugs = () => Logger.isLevelEnabled('debug');
    this.feeds = [
      ...listeners.flatMap((listener) => feed(listener, { workerId, log })),
      logEvents({ workerId, log: this.events, debugs }),
    ];
    log.log(runtime.describe());
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.runtime.begin();
  }

  async onModuleDestroy(): Promise<void> {
    await this.runtime.drain();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.runtime.close();
    for (const end of this.feeds) end();
  }

  private refuseSecondModule(): void {
    const lifecycles = this.discovery.getProviders().filter(({ token }) => token === LIFECYCLE);
    if (lifecycles.length <= 1) return;
    const own = lifecycles.every(({ metatype }) => metatype === SagazLifecycle);
    const what = own ? 'SagazModule.forRoot is imported twice' : 'two copies of nestjs-sagaz are loaded';
    throw new DuplicateCopyError(
      `${what}; there is one SagazModule per application, imported once in the root module`,
    );
  }

  /** An application with named DataSources only has not said where its sagas live: memory would be a bad guess. */
  private refuseUnnamedChoice(): void {
    if (this.options.storage !== undefined || this.runtime.persistence.sagas.kind !== 'memory') return;
    const names = this.discovery.getProviders().filter(({ instance }) => isDataSource(instance));
    if (names.length === 0) return;
    const tokens = names.map(({ token }) => String(token)).join(', ');
    throw new SagazOptionsError([
      `dataSource: the application has only named DataSources (${tokens}); name one of them, or set storage: 'memory'`,
    ]);
  }
}
