import type { ModuleRef } from '@nestjs/core';
import { SagazOptionsError } from '../saga/state/errors.js';
import { SAGAZ_RUNTIME } from '../sagaz.tokens.js';
import type { Observed } from './observed.js';

/** The application that a module observes, wherever SagazModule is imported. @throws SagazOptionsError when it is nowhere */
export function observedApplication(moduleRef: ModuleRef, asking: string): Observed {
  try {
    return moduleRef.get<Observed>(SAGAZ_RUNTIME, { strict: false });
  } catch (cause) {
    const fault = `${asking} has nothing to observe: import SagazModule in the root module`;
    throw Object.assign(new SagazOptionsError([fault]), { cause });
  }
}
