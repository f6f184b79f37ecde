import {
  before,
  entriesOf,
  KIND,
  ofStep,
  stepsOf,
  turnOf,
  type Rule,
  type SagaRecord,
} from './saga-record.js';
import type { Call, Effect } from '../ledger.js';
import { SHAPES, TIMES } from '../scenarios.js';

/**
 * I4: no action after the first undo, and none is launched once the saga has turned back. An ordinary action may finish
 * late: when its process was given up, and then it bears an older epoch, or when it had itself been given up, and then
 * the journal knows.
 */
export const forward: Rule = (record) => {
  const turn = turnOf(record);
  const launched = record.journal.find(({ seq, launch }) => turn && seq >= turn.seq && launch.length > 0);
  const undo = record.effects.find(({ kind }) => kind === 'undo');
  const fenced = new Map(stepsOf(record).map(([name, step]) => [name, step.transactional === true]));
  const late = record.effects.find(({ kind, at, epoch, step }) => {
    if (!undo || kind !== 'action' || at <= undo.at) return false;
    const known = epoch < undo.epoch || entriesOf(record, step, KIND.late).length > 0;
    return fenced.get(step) === true || !known;
  });
  return [
    ...(launched ? [`I4: entry ${launched.seq} launched ${launched.launch.join()} after the turn`] : []),
    ...(late ? [`I4: action ${late.step} after the first undo`] : []),
  ];
};

/**
 * I5: the undo of a step comes after those of the steps that stand behind it. The undo of a late result runs when it
 * comes, and a process that was given up may still finish the undo it was in.
 */
export const order: Rule = (record) => {
  const shape = SHAPES[record.scenario.shape];
  return stepsOf(record).flatMap(([step]) => {
    if (entriesOf(record, step, KIND.late).length > 0) return [];
    const undos = ofStep(record.effects, step, 'undo');
    return before(shape, step).flatMap((earlier) => {
      const its = first(record, earlier, 'undo');
      const late = undos.some(({ at, epoch }) => its && at > its.at && epoch >= its.epoch);
      return late ? [`I5: ${earlier} was undone before ${step}`] : [];
    });
  });
};

/** What settles an action: its own entry, or that its owner let go of the saga. */
const SETTLED = [KIND.completed, KIND.failed, KIND.late, 'step_retrying', 'probed'];

/** The undo of an ordinary action whose process was lost waits until that action's time is up. */
export const waits: Rule = (record) =>
  stepsOf(record).flatMap(([step, { transactional }]) => {
    const undo = ofStep(record.calls, step, 'undo')[0];
    const action = ofStep(record.calls, step, 'action').findLast(({ at }) => undo && at < undo.at);
    if (transactional || !action || !undo || isSettled(record, action)) return [];
    const waited = Math.round(undo.at - action.at);
    const needed = TIMES.stepTimeout + TIMES.settleGrace;
    return waited >= needed
      ? []
      : [`I4: ${step} was undone ${waited} ms after its action was lost, not ${needed}`];
  });

function isSettled(record: SagaRecord, { step, epoch }: Call): boolean {
  const settled = entriesOf(record, step, ...SETTLED).some((entry) => entry.epoch === epoch);
  return settled || record.journal.some((entry) => entry.kind === 'released' && entry.epoch === epoch);
}

function first({ calls, effects }: SagaRecord, step: string, kind: Effect['kind']): Effect | undefined {
  return ofStep<Effect>([...calls, ...effects], step, kind).sort((a, b) => a.at - b.at)[0];
}
