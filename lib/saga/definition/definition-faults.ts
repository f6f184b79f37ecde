import { didYouMean } from '../../runtime/did-you-mean.js';
import { show } from '../../runtime/readers.js';
import type { DefinitionFault, DefinitionFaultKind } from '../state/errors.js';
import type { StepDefinition } from './saga-definition.js';
import type { SagaDraft } from './saga-draft.js';
import { findCycle } from './step-graph.js';

/** The colon separates saga id, step and undo in idempotency keys. */
const STEP_NAME = /^[^:]+$/;

export type Steps = ReadonlyMap<
  string,
  Pick<StepDefinition, 'name' | 'dependsOn' | 'place' | 'compensation'>
>;

export const fault = (kind: DefinitionFaultKind, message: string): DefinitionFault => ({ kind, message });

/** Faults of the names in a draft: what cannot be put together into a graph. */
export function namingFaults(draft: SagaDraft, steps: Steps): DefinitionFault[] {
  return [
    ...identityFaults(draft),
    ...handlerFaults(draft),
    ...stepFaults(draft),
    ...compensationFaults(draft, steps),
    ...dependencyFaults(steps),
    ...cycleFaults(draft, steps),
  ];
}

export function identityFaults({ name, version, place }: SagaDraft): DefinitionFault[] {
  const notes: string[] = [];
  if (typeof name !== 'string' || name === '') notes.push('a saga needs a name');
  if (!Number.isInteger(version) || version < 1)
    notes.push(`version: expected a whole number of at least 1, got ${show(version)}`);
  return notes.map((note) => fault('INVALID_OPTION', `${place}: ${note}`));
}

/** Of a method there is always a function; a builder takes what it is given. */
function handlerFaults({ steps, compensations }: SagaDraft): DefinitionFault[] {
  const handlers = [
    ...steps.map(({ place, handler }) => ({ what: `${place}.action`, handler })),
    ...steps.map(({ place, probe }) => ({ what: `${place}.probe`, handler: probe ?? (() => undefined) })),
    ...compensations.map(({ place, handler }) => ({ what: place, handler })),
  ];
  return handlers
    .filter(({ handler }) => typeof handler !== 'function')
    .map(({ what, handler }) =>
      fault('INVALID_OPTION', `${what}: expected a function, got ${show(handler)}`),
    );
}

function stepFaults(draft: SagaDraft): DefinitionFault[] {
  const faults: DefinitionFault[] = [];
  const seen = new Map<string, string>();
  if (draft.steps.length === 0)
    faults.push(fault('NO_STEPS', `${draft.place}: saga "${draft.name}" has no step`));
  for (const step of draft.steps) {
    if (!STEP_NAME.test(step.name)) {
      faults.push(
        fault('INVALID_OPTION', `${step.place}: a step needs a name without ":", got "${step.name}"`),
      );
    }
    const other = seen.get(step.name);
    if (other !== undefined) {
      faults.push(
        fault(
          'DUPLICATE_STEP',
          `${step.place}: saga "${draft.name}" has the step "${step.name}" already, at ${other}`,
        ),
      );
    }
    seen.set(step.name, step.place);
    if (step.foreign && step.dependsOn === undefined) {
      const advice = 'a step on another provider must say where it stands: dependsOn: [...] (may be empty)';
      faults.push(fault('MISSING_DEPENDS_ON', `${step.place}: ${advice}`));
    }
  }
  return faults;
}

function compensationFaults(draft: SagaDraft, steps: Steps): DefinitionFault[] {
  const faults: DefinitionFault[] = [];
  const seen = new Map<string, string>();
  for (const { step, after, place } of draft.compensations) {
    if (!steps.has(step)) {
      const hint = didYouMean(step, steps.keys());
      faults.push(
        fault('COMPENSATION_WITHOUT_STEP', `${place}: saga "${draft.name}" has no step "${step}"${hint}`),
      );
    }
    faults.push(...afterFaults(draft, after, place));
    const other = seen.get(step);
    if (other !== undefined) {
      faults.push(
        fault(
          'DUPLICATE_COMPENSATION',
          `${place}: the step "${step}" has a compensation already, at ${other}`,
        ),
      );
    }
    seen.set(step, place);
  }
  return faults;
}

function dependencyFaults(steps: Steps): DefinitionFault[] {
  return [...steps.values()].flatMap((step) =>
    step.dependsOn
      .filter((name) => !steps.has(name))
      .map((name) =>
        fault(
          'UNKNOWN_DEPENDENCY',
          `${step.place}: dependsOn names "${name}", which is no step of this saga${didYouMean(name, steps.keys())}`,
        ),
      ),
  );
}

function cycleFaults(draft: SagaDraft, steps: Steps): DefinitionFault[] {
  const cycle = findCycle([...steps.values()]);
  if (!cycle) return [];
  const places = cycle.map((name) => steps.get(name)?.place ?? name);
  return [fault('CYCLE', `${draft.place}: the steps wait for each other: ${places.join(' -> ')}`)];
}

function afterFaults(draft: SagaDraft, after: readonly string[] = [], place: string): DefinitionFault[] {
  const undone = draft.compensations.map(({ step }) => step);
  return after
    .filter((name) => !undone.includes(name))
    .map((name) => {
      const hint = didYouMean(name, undone);
      return fault('UNKNOWN_DEPENDENCY', `${place}: after names "${name}", which has no compensation${hint}`);
    });
}
