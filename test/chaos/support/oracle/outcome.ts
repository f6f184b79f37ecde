import {
  before,
  entriesOf,
  failureIn,
  KIND,
  ofStep,
  stepsOf,
  type Rule,
  type SagaRecord,
} from './saga-record.js';
import { SHAPES, type Scenario } from '../scenarios.js';

/** Failures that a crash or a slow machine brings about where the scenario alone would not. */
const BY_TIME = ['SAGAZ_STEP_TIMEOUT', 'SAGAZ_INTERRUPTED'];

/** How a scenario ends when nothing else goes wrong. */
export function expectedStatus({ faults }: Scenario): string {
  if (Object.values(faults.undos ?? {}).includes('always')) return 'failed';
  const fatal = Object.values(faults.actions ?? {}).some((how) => how !== 'twice');
  return fatal ? 'compensated' : 'completed';
}

/** I1: it ends, as its scenario says; otherwise only where time ran out, and then the journal says so. */
export const terminal: Rule = (record) => {
  const { status, scenario } = record;
  if (!['completed', 'compensated', 'failed'].includes(status)) return [`I1: it is ${status}`];
  const expected = expectedStatus(scenario);
  if (status === expected) return [];
  const ranOut = (kind: string) =>
    record.journal.some((entry) => entry.kind === kind && BY_TIME.includes(failureIn(entry).code ?? ''));
  const excused =
    (status === 'compensated' && isRetired(record)) ||
    (status === 'compensated' && ranOut(KIND.failed)) ||
    (status === 'failed' && ranOut(KIND.undoFailed));
  return excused ? [] : [`I1: it ended ${status}, not ${expected}`];
};

/** It was turned back because only the undos of its version were left. */
function isRetired({ journal }: SagaRecord): boolean {
  return journal.some(
    (entry) => entry.kind === KIND.turned && failureIn(entry).code === 'SAGAZ_VERSION_NOT_REGISTERED',
  );
}

/** I2: each effect of a completed saga is there, and none of its undos. */
export const completed: Rule = (record) => {
  if (record.status !== 'completed') return [];
  return stepsOf(record).flatMap(([step]) => [
    ...(ofStep(record.effects, step, 'action').length === 0
      ? [`I2: completed without the effect of ${step}`]
      : []),
    ...(ofStep(record.effects, step, 'undo').length > 0 ? [`I2: completed, and ${step} was undone`] : []),
  ]);
};

/** I3: for every effect its undo, afterwards; of a failed saga all but those that it says are standing. */
export const undone: Rule = (record) => {
  if (record.status === 'completed') return [];
  const standing = record.status === 'failed' ? standingOf(record) : [];
  return stepsOf(record).flatMap(([step]) => {
    const last = ofStep(record.effects, step, 'action').at(-1);
    if (!last || standing.includes(step)) return [];
    const isUndone = ofStep(record.effects, step, 'undo').some(({ at }) => at > last.at);
    return isUndone ? [] : [`I3: ${record.status}, and the effect of ${step} stands`];
  });
};

/** `failed` means that an undo gave up, and names just those; nothing else is called so, nor hides it. */
export const standing: Rule = (record) => {
  const gaveUp = stepsOf(record).flatMap(([step]) => {
    const last = entriesOf(record, step, KIND.undone, KIND.undoFailed).at(-1);
    return last?.kind === KIND.undoFailed ? [step] : [];
  });
  if (record.status !== 'failed')
    return gaveUp.map((step) => `I3: ${record.status}, though the undo of ${step} gave up`);
  const named = standingOf(record);
  if (gaveUp.length === 0) return ['I3: failed, though no undo gave up'];
  const same = named.length === gaveUp.length && gaveUp.every((step) => named.includes(step));
  return same ? [] : [`I3: failed, and names [${named.join()}] as standing instead of [${gaveUp.join()}]`];
};

function standingOf({ error }: SagaRecord): readonly string[] {
  const { standing: named = [] } = (JSON.parse(error ?? '{}') ?? {}) as { standing?: readonly string[] };
  return named;
}

/** I3: what was not launched, or is known to have had no effect, is not undone. */
export const needless: Rule = (record) =>
  stepsOf(record).flatMap(([step]) => {
    if (ofStep(record.calls, step, 'undo').length === 0) return [];
    const launched = [record.launch, ...record.journal.map(({ launch }) => launch)].flat();
    if (!launched.includes(step)) return [`I3: ${step} was undone and never launched`];
    const known = entriesOf(record, step, KIND.failed).map((entry) => failureIn(entry).outcome);
    const late = entriesOf(record, step, KIND.late).length > 0;
    return known.includes('failed') && !late ? [`I3: ${step} was undone, though it had no effect`] : [];
  });

/** I6: nothing before a completed pivot is undone. */
export const pivot: Rule = (record) => {
  const [name] = stepsOf(record).find(([, step]) => step.pivot) ?? [];
  if (name === undefined || entriesOf(record, name, KIND.completed).length === 0) return [];
  const earlier = before(SHAPES[record.scenario.shape], name);
  const undos = [...record.calls, ...record.effects].filter(
    ({ kind, step }) => kind === 'undo' && earlier.includes(step),
  );
  return undos.slice(0, 1).map(({ step }) => `I6: ${step} was undone behind a completed pivot`);
};
