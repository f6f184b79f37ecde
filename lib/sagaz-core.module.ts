import { Logger, Module, type FactoryProvider } from '@nestjs/common';
import { OutboxAdmin } from './admin/outbox-admin.js';
import { SagaAdmin } from './admin/saga-admin.js';
import type { DataSource } from 'typeorm';
import { MessageBroker } from './brokers/message-broker.js';
import { resolveOptions, type ResolvedOptions } from './options/resolve-options.js';
import { InboxConsumers } from './inbox/inbox-consumers.js';
import { InboxStorage } from './inbox/inbox-storage.js';
import type { SagazModuleOptions } from './options/sagaz-module-options.js';
import { OutboxStorage } from './outbox/outbox-storage.js';
import { OutboxWorker } from './outbox/outbox-worker.js';
import { choosePersistence } from './persistence/choose-persistence.js';
import { systemClock } from './runtime/clock.js';
import { SagaStorage } from './saga/saga-storage.js';
import { SagazOptionsError } from './saga/state/errors.js';
import { SagazRuntime } from './sagaz-runtime.js';
import { ConfigurableModuleClass, SAGAZ_MODULE_OPTIONS } from './sagaz.module-definition.js';
import {
  APPLICATION_DATA_SOURCE,
  DATA_SOURCE_NAME,
  RESOLVED_OPTIONS,
  SAGAZ_RUNTIME,
} from './sagaz.tokens.js';
import { ConsumerInbox, Outbox, SagaBarrier, SagaOrchestrator } from './typeorm-alias.js';

const options: FactoryProvider<ResolvedOptions> = {
  provide: RESOLVED_OPTIONS,
  useFactory: (given: SagazModuleOptions, dataSource: string | undefined) => {
    if (given.dataSource !== undefined && given.dataSource !== dataSource) {
      throw new SagazOptionsError([
        `dataSource: put "${given.dataSource}" beside useFactory: forRootAsync({ dataSource, useFactory })`,
      ]);
    }
    return resolveOptions({ ...given, dataSource }, process.env);
  },
  inject: [SAGAZ_MODULE_OPTIONS, { token: DATA_SOURCE_NAME, optional: true }],
};

const runtime: FactoryProvider<SagazRuntime> = {
  provide: SAGAZ_RUNTIME,
  useFactory: (resolved: ResolvedOptions, dataSource: DataSource | undefined) => {
    const choice = { ...resolved, dataSourceName: resolved.dataSource, dataSource };
    const persistence = choosePersistence(choice, systemClock);
    return new SagazRuntime({ options: resolved, persistence, clock: systemClock, log: new Logger('Sagaz') });
  },
  inject: [RESOLVED_OPTIONS, { token: APPLICATION_DATA_SOURCE, optional: true }],
};

function part<T>(
  provide: FactoryProvider<T>['provide'],
  useFactory: (it: SagazRuntime) => T,
): FactoryProvider<T> {
  return { provide, useFactory, inject: [SAGAZ_RUNTIME] };
}

const injectables = [
  part(SagaOrchestrator, (it) => it.orchestrator),
  part(Outbox, (it) => it.outbox),
  part(SagaAdmin, (it) => it.sagaAdmin),
  part(ConsumerInbox, (it) => it.inbox),
  part(InboxConsumers, (it) => it.consumers),
  part(SagaBarrier, (it) => it.barrier),
  part(InboxStorage, (it) => it.persistence.inbox),
  part(OutboxAdmin, (it) => it.outboxAdmin),
  part(OutboxWorker, (it) => it.relay),
  part(SagaStorage, (it) => it.persistence.sagas),
  part(OutboxStorage, (it) => it.persistence.outbox),
  part(MessageBroker, (it) => it.defaultBroker),
];

/** Holds the services, made from the resolved options. It has no start and no stop: SagazLifecycle does that. */
@Module({
  providers: [options, runtime, ...injectables],
  exports: [
    SAGAZ_MODULE_OPTIONS,
    RESOLVED_OPTIONS,
    SAGAZ_RUNTIME,
    ...injectables.map(({ provide }) => provide),
  ],
})
export class SagazCoreModule extends ConfigurableModuleClass {}
