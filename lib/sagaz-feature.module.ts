import { Module, type DynamicModule } from '@nestjs/common';
import { FEATURE_SAGAS } from './sagaz.tokens.js';

/** Carries saga definitions to the discovery at boot. It starts and stops nothing: that is the root's part. */
@Module({})
export class SagazFeatureModule {
  static with(definitions: readonly unknown[]): DynamicModule {
    return { module: SagazFeatureModule, providers: [{ provide: FEATURE_SAGAS, useValue: definitions }] };
  }
}
