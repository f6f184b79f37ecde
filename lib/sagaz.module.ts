import { Module, type DynamicModule } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import type { SagazModuleOptions } from './options/sagaz-module-options.js';
import { SagazCoreModule } from './sagaz-core.module.js';
import { SagazLifecycle } from './sagaz.lifecycle.js';
import type { SagazModuleAsyncOptions } from './sagaz.module-definition.js';
import { LIFECYCLE } from './sagaz.tokens.js';

/**
 * Sagas and a transactional outbox for a Nest application. Import it once, in the root module. It finds `@Saga`
 * providers by itself, in any module, and makes `SagaOrchestrator`, `Outbox`, `OutboxWorker`, `SagaStorage`,
 * `OutboxStorage` and `MessageBroker` injectable everywhere, or with `isGlobal: false` where it is imported.
 */
@Module({ imports: [DiscoveryModule], providers: [{ provide: LIFECYCLE, useClass: SagazLifecycle }] })
export class SagazModule {
  /**
   * @throws SagazOptionsError at boot, with every fault at once; SagaDefinitionError with every fault of every saga;
   * SchemaMismatchError, ReadOnlyDatabaseError, MemoryInProductionError, DuplicateCopyError
   */
  static forRoot(options: SagazModuleOptions & { isGlobal?: boolean | undefined } = {}): DynamicModule {
    return withCore(SagazCoreModule.forRoot(options));
  }

  /** The same with options from a factory, a class or an existing provider. `dataSource` and `isGlobal` stand beside it. */
  static forRootAsync(options: SagazModuleAsyncOptions): DynamicModule {
    return withCore(SagazCoreModule.forRootAsync(options));
  }
}

function withCore(core: DynamicModule): DynamicModule {
  return { module: SagazModule, imports: [core], exports: [core] };
}
