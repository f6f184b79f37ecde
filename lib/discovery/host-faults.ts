import type { SagaRef } from '../saga/definition/saga-types.js';
import type { DefinitionFault } from '../saga/state/errors.js';
import { didYouMean } from '../runtime/did-you-mean.js';
import type { FoundStep, SagaHost } from './host-explorer.js';

/** Faults of where decorated methods stand. */
export function hostFaults(hosts: readonly SagaHost[]): DefinitionFault[] {
  return [...hosts.filter((host) => !host.singleton).map(notSingleton), ...providedTwice(hosts)];
}

function notSingleton(host: SagaHost): DefinitionFault {
  const methods = [...host.steps, ...host.compensations].map(({ method }) => method).join(', ');
  const why =
    'it, or something it depends on, is request-scoped or transient; a saga outlives any request, so make it a singleton';
  return { kind: 'NOT_SINGLETON', message: `${host.className} (${methods}): ${why}` };
}

function providedTwice(hosts: readonly SagaHost[]): DefinitionFault[] {
  const seen = new Map<unknown, SagaHost>();
  const faults: DefinitionFault[] = [];
  for (const host of hosts) {
    const first = seen.get(host.type);
    if (first) {
      const message = `${host.className} is provided by ${first.moduleName} and by ${host.moduleName}: provide it once and export it`;
      faults.push({ kind: host.saga ? 'DUPLICATE_SAGA' : 'DUPLICATE_STEP', message });
    }
    seen.set(host.type, host);
  }
  return faults;
}

/** A decorated method that belongs to no saga of this application. */
export function unknownSaga(host: SagaHost, method: string, ref: SagaRef | undefined): DefinitionFault {
  const place = `${host.className}.${method}`;
  if (ref === undefined) {
    return {
      kind: 'UNKNOWN_SAGA',
      message: `${place}: ${host.className} is no @Saga; name the saga it belongs to: { saga: ... }`,
    };
  }
  const name = typeof ref === 'string' ? `"${ref}"` : ref.name;
  const where = 'is not among the providers of this application, nor given to SagazModule.forFeature';
  return { kind: 'UNKNOWN_SAGA', message: `${place}: the saga ${name} ${where}` };
}

/** A probe must be a method beside its step. */
export function probeFaults(host: SagaHost, { method, options: { probe } }: FoundStep): DefinitionFault[] {
  if (probe === undefined || host.methods.includes(probe)) return [];
  const message = `${host.className}.${method}: probe names "${probe}", which is no method of ${host.className}`;
  return [{ kind: 'UNKNOWN_PROBE', message: `${message}${didYouMean(probe, host.methods)}` }];
}
