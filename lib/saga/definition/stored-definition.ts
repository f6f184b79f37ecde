import { buildDefinition } from './build-definition.js';
import type { DefinitionData, StepData } from './definition-data.js';
import type { SagaDefinition } from './saga-definition.js';
import type { StepDraft } from './saga-draft.js';
import { SAGA_DEFAULTS } from './saga-options.js';
import type { SagaVersion } from '../state/saga-version.js';

/**
 * The definition of a saga as it was stored, without any of its code: to say where a saga stands in a process that does
 * not have it. It cannot be run.
 * @returns undefined when what is stored is of a version of this library that this one does not understand
 */
export function storedDefinition(
  { name, version }: SagaVersion,
  data: DefinitionData,
): SagaDefinition | undefined {
  const place = `saga "${name}" version ${version}`;
  const steps = data.map((step) => storedStepDraft(place, step, waitOf(step)));
  const compensations = data.flatMap(({ name: step, undo }) =>
    undo
      ? [{ step, after: undo.after ?? undefined, options: {}, handler: notHere, place: `undo of ${step}` }]
      : [],
  );
  const draft = { name, version, place, options: {}, steps, compensations };
  return buildDefinition(draft, SAGA_DEFAULTS).definition;
}

/** A step without its code. @param wait what it waits for, where that matters */
export function storedStepDraft(place: string, step: StepData, wait: object = {}): StepDraft {
  const { name, dependsOn, transactional, pivot, readOnly, compensateOn, timeoutMs: timeout } = step;
  const options = { transactional, pivot, readOnly, compensateOn, timeout, ...wait };
  const own = { name, dependsOn, options, place: `${place} step "${name}"` };
  return { ...own, handler: notHere, probe: undefined, foreign: false };
}

/** How long a delay is, is not stored: only that there is one. */
function waitOf({ delayed, waitFor }: StepData): object {
  return { ...(waitFor !== null && { waitFor }), ...(delayed && { delay: 1 }) };
}

function notHere(): never {
  throw new Error('a definition that was read cannot be run');
}
