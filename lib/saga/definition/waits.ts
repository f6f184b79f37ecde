import type { DefinitionFault } from '../state/errors.js';
import { fault } from './definition-faults.js';
import type { StepDefinition } from './saga-definition.js';

type Waiting = Pick<StepDefinition, 'name' | 'place' | 'delay' | 'waitFor' | 'waitTimeout'>;
type Steps = ReadonlyMap<string, Waiting>;

/** Steps that wait for their time or for a signal. */
export function gatesOf(steps: Steps): ReadonlySet<string> {
  const waiting = [...steps.values()].filter(
    ({ delay, waitFor }) => delay !== undefined || waitFor !== undefined,
  );
  return new Set(waiting.map(({ name }) => name));
}

/** Waits that contradict themselves. */
export function waitFaults(steps: Steps): DefinitionFault[] {
  return [...steps.values()].flatMap(({ place, delay, waitFor, waitTimeout }) => {
    if (waitFor === undefined)
      return waitTimeout === undefined
        ? []
        : [invalid(`${place}.waitTimeout: means nothing without waitFor`)];
    return delay === undefined
      ? []
      : [invalid(`${place}: has both delay and waitFor; put the delay on a step of its own before it`)];
  });
}

/** What is allowed and probably wrong: a wait that may never end. A fault with `strict`, else a warning. */
export function endlessWaits(steps: Steps): DefinitionFault[] {
  return [...steps.values()]
    .filter(({ waitFor, waitTimeout }) => waitFor !== undefined && waitTimeout === undefined)
    .map(({ place, waitFor }) =>
      fault('WAIT_WITHOUT_TIMEOUT', `${place}: waits for "${waitFor}" for ever; give it a waitTimeout`),
    );
}

const invalid = (message: string) => fault('INVALID_OPTION', message);
