import type { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { buildDefinition } from '../saga/definition/build-definition.js';
import type { CompensationDraft, SagaDraft, StepDraft } from '../saga/definition/saga-draft.js';
import type { ResolvedSagaDefaults } from '../saga/definition/saga-options.js';
import type { SagaRegistry } from '../saga/definition/saga-registry.js';
import type { SagaRef } from '../saga/definition/saga-types.js';
import { SagaDefinitionError, type DefinitionFault } from '../saga/state/errors.js';
import type { Log } from '../runtime/log.js';
import { findHosts, type FoundCompensation, type FoundStep, type SagaHost } from './host-explorer.js';
import { hostFaults, probeFaults, sagaFaults, unknownSaga } from './host-faults.js';

export interface ExplorerSettings {
  readonly discovery: DiscoveryService;
  readonly scanner: MetadataScanner;
  readonly registry: SagaRegistry;
  readonly defaults: ResolvedSagaDefaults;
  readonly log: Log;
}

/** A saga class with what stands on other providers for it. */
interface Gathered {
  readonly host: SagaHost;
  readonly steps: StepDraft[];
  readonly compensations: CompensationDraft[];
}

/**
 * Joins the decorated methods of all providers into saga definitions and registers them.
 * @throws SagaDefinitionError with every fault of every saga
 */
export function exploreSagas({ discovery, scanner, registry, defaults, log }: ExplorerSettings): void {
  const hosts = findHosts(discovery, scanner);
  const distinct = [...new Map(hosts.map((host) => [host.type, host])).values()];
  const sagas = distinct
    .filter((host) => host.saga)
    .map((host): Gathered => ({ host, steps: [], compensations: [] }));
  const faults = [...hostFaults(hosts), ...sagaFaults(sagas.map(({ host }) => host))];
  for (const host of distinct) faults.push(...join(host, sagas));

  const built = sagas.map((saga) => ({ type: saga.host.type, ...buildDefinition(draftOf(saga), defaults) }));
  faults.push(...built.flatMap((it) => it.faults));
  if (faults.length > 0) throw new SagaDefinitionError(faults);

  for (const { type, definition, warnings } of built) {
    for (const { kind, message } of warnings) log.warn(`${message} [${kind}]`);
    if (definition) registry.add(definition, type);
  }
}

function join(host: SagaHost, sagas: readonly Gathered[]): DefinitionFault[] {
  const faults: DefinitionFault[] = [];
  for (const step of host.steps) {
    const targets = targetsOf(step.options.saga, host, sagas);
    if (targets.length === 0) faults.push(unknownSaga(host, step.method, step.options.saga));
    faults.push(...probeFaults(host, step));
    for (const saga of targets) saga.steps.push(stepDraft(host, step, saga.host !== host));
  }
  for (const compensation of host.compensations) {
    const targets = targetsOf(compensation.options.saga, host, sagas);
    if (targets.length === 0) faults.push(unknownSaga(host, compensation.method, compensation.options.saga));
    for (const saga of targets) saga.compensations.push(compensationDraft(host, compensation));
  }
  return faults;
}

/** A name may mean several versions: the step belongs to each of them. */
function targetsOf(
  ref: SagaRef | undefined,
  host: SagaHost,
  sagas: readonly Gathered[],
): readonly Gathered[] {
  if (ref === undefined) return sagas.filter((saga) => saga.host === host);
  return sagas.filter((saga) => (saga.host.type as unknown) === ref || saga.host.saga?.name === ref);
}

function stepDraft(host: SagaHost, { method, options }: FoundStep, foreign: boolean): StepDraft {
  const { name = method, saga: _, dependsOn, probe: asked, ...rest } = options;
  const handler = (context: unknown) => host.call(method, context);
  const probe = asked === undefined ? undefined : (context: unknown) => host.call(asked, context);
  return { name, dependsOn, options: rest, handler, probe, place: `${host.className}.${method}`, foreign };
}

function compensationDraft(host: SagaHost, { method, step, options }: FoundCompensation): CompensationDraft {
  const { saga: _, after, ...rest } = options;
  const handler = (context: unknown) => host.call(method, context);
  return { step, after, options: rest, handler, place: `${host.className}.${method}` };
}

function draftOf({ host, steps, compensations }: Gathered): SagaDraft {
  const { name = '', version = 1, ...options } = host.saga ?? {};
  return { name, version, place: host.className, options, steps, compensations };
}
