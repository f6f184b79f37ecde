import { Module, type DynamicModule } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import type { SagazModuleOptions } from './options/sagaz-module-options.js';
import type { SagaDefinition } from './saga/definition/saga-definition.js';
import { SagazCoreModule } from './sagaz-core.module.js';
import { SagazFeatureModule } from './sagaz-feature.module.js';
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

  /**
   * Registers sagas made with `ClassicSaga`, in any module; the same definition may be given by several. Steps, options
   * and names are checked at boot together with those of the classes.
   */
  static forFeature(definitions: readonly SagaDefinition<never, unknown>[]): DynamicModule {
    return SagazFeatureModule.with(definitions);
  }
}

function withCore(core: DynamicModule): DynamicModule {
  return { module: SagazModule, imports: [core], exports: [core] };
}
