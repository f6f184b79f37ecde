import type { DiscoveryService, MetadataScanner } from '@nestjs/core';
import type { SagaSource } from '../saga/definition/definition-source.js';
import type { CompensationDraft, StepDraft } from '../saga/definition/saga-draft.js';
import type { SagaRegistry } from '../saga/definition/saga-registry.js';
import type { SagaRef } from '../saga/definition/saga-types.js';
import type { DefinitionFault } from '../saga/state/errors.js';
import type { Log } from '../runtime/log.js';
import { findFeatureSagas } from './feature-sagas.js';
import { findHosts, type FoundCompensation, type FoundStep, type SagaHost } from './host-explorer.js';
import { hostFaults, probeFaults, unknownSaga } from './host-faults.js';

export interface ExplorerSettings {
  readonly discovery: DiscoveryService;
  readonly scanner: MetadataScanner;
  readonly registry: SagaRegistry;
  readonly log: Log;
}

/** A saga with what stands on providers for it. */
interface Gathered extends SagaSource {
  readonly steps: StepDraft[];
  readonly compensations: CompensationDraft[];
}

/**
 * Joins the decorated methods of all providers and the definitions of all `forFeature` into sagas and registers them.
 * @throws SagaDefinitionError with every fault of every saga
 */
export function exploreSagas({ discovery, scanner, registry, log }: ExplorerSettings): void {
  const hosts = findHosts(discovery, scanner);
  const distinct = [...new Map(hosts.map((host) => [host.type, host])).values()];
  const features = findFeatureSagas(discovery);
  const sagas = [...distinct.flatMap(classSource), ...features.sources].map((saga): Gathered => ({
    ...saga,
    steps: [...saga.draft.steps],
    compensations: [...saga.draft.compensations],
  }));
  const faults = [...hostFaults(hosts), ...features.faults];
  for (const host of distinct) faults.push(...join(host, sagas));

  const warnings = registry.register(sagas.map(complete), faults);
  for (const { kind, message } of warnings) log.warn(`${message} [${kind}]`);
}

function join(host: SagaHost, sagas: readonly Gathered[]): DefinitionFault[] {
  const faults: DefinitionFault[] = [];
  for (const step of host.steps) {
    const targets = targetsOf(step.options.saga, host, sagas);
    if (targets.length === 0) faults.push(unknownSaga(host, step.method, step.options.saga));
    faults.push(...probeFaults(host, step));
    for (const saga of targets) saga.steps.push(stepDraft(host, step, saga.source !== host.type));
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
  if (ref === undefined) return sagas.filter(({ source }) => source === host.type);
  return sagas.filter(({ source, draft }) => source === ref || draft.name === ref);
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

/** A saga class, still without its steps. */
function classSource({ type, className, saga }: SagaHost): SagaSource[] {
  if (!saga) return [];
  const { name, version = 1, input, retired = false, ...options } = saga;
  const draft = { name, version, retired, input, place: className, options, steps: [], compensations: [] };
  return [{ draft, source: type }];
}

function complete({ draft, source, steps, compensations }: Gathered): SagaSource {
  return { source, draft: { ...draft, steps, compensations } };
}
