import type { FactoryProvider, OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { SagazOptionsError } from '../saga/state/errors.js';
import { SAGAZ_RUNTIME } from '../sagaz.tokens.js';
import type { Observed } from './observed.js';

/** Begins to observe an application. @returns what ends it */
type Begin = (application: Observed) => Promise<() => void>;

/** A provider that observes the application from before the library starts until after it has ended. @param module its name */
export function observer(module: string, begin: Begin): FactoryProvider {
  return {
    provide: Symbol.for(`nestjs-sagaz:observer-of-${module}`),
    inject: [ModuleRef],
    useFactory: (moduleRef: ModuleRef) =>
      new ObserverLifecycle(() => begin(observedApplication(moduleRef, module))),
  };
}

class ObserverLifecycle implements OnModuleInit, OnApplicationShutdown {
  private end: (() => void) | undefined;

  constructor(private readonly begin: () => Promise<() => void>) {}

  async onModuleInit(): Promise<void> {
    this.end = await this.begin();
  }

  onApplicationShutdown(): void {
    this.end?.();
  }
}

/** That of SagazModule, wherever it is imported. @throws SagazOptionsError when it is nowhere */
function observedApplication(moduleRef: ModuleRef, asking: string): Observed {
  try {
    return moduleRef.get<Observed>(SAGAZ_RUNTIME, { strict: false });
  } catch (cause) {
    const fault = `${asking} has nothing to observe: import SagazModule in the root module`;
    throw Object.assign(new SagazOptionsError([fault]), { cause });
  }
}
