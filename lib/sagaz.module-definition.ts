import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { SagazModuleOptions } from './options/sagaz-module-options.js';
import { dataSourceToken } from './persistence/typeorm/application-data-source.js';
import { APPLICATION_DATA_SOURCE, DATA_SOURCE_NAME } from './sagaz.tokens.js';

/** What stands beside the options, because the module is made before they are known. */
interface Extras {
  /** Core providers visible everywhere. Default true. */
  isGlobal?: boolean | undefined;
  /** Name given to `TypeOrmModule`. */
  dataSource?: string | undefined;
}

export const {
  ConfigurableModuleClass,
  MODULE_OPTIONS_TOKEN: SAGAZ_MODULE_OPTIONS,
  OPTIONS_TYPE,
  ASYNC_OPTIONS_TYPE,
} = new ConfigurableModuleBuilder<SagazModuleOptions>({ moduleName: 'Sagaz' })
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createSagazOptions')
  .setExtras<Extras>(
    { isGlobal: true, dataSource: undefined },
    (definition, { isGlobal = true, dataSource }) => ({
      ...definition,
      global: isGlobal,
      providers: [
        ...(definition.providers ?? []),
        { provide: DATA_SOURCE_NAME, useValue: dataSource },
        {
          provide: APPLICATION_DATA_SOURCE,
          useFactory: (found?: unknown) => found,
          inject: [{ token: dataSourceToken(dataSource), optional: true }],
        },
      ],
    }),
  )
  .build();

export type SagazModuleAsyncOptions = typeof ASYNC_OPTIONS_TYPE;
