import { entriesOf, KIND, ofStep, stepsOf, turnOf, type Rule, type SagaRecord } from './saga-record.js';
import type { Call, Effect } from '../ledger.js';

const KINDS = ['action', 'undo'] as const;

/** I2: an action has one idempotency key, and so has an undo, whoever runs it and however often. */
export const keys: Rule = (record) =>
  stepsOf(record).flatMap(([step]) =>
    KINDS.flatMap((kind) => {
      const done: readonly Effect[] = [...record.calls, ...record.effects];
      const used = new Set(ofStep(done, step, kind).map(({ key }) => key));
      return used.size > 1 ? [`I2: the ${kind} of ${step} had the keys ${[...used].join(' and ')}`] : [];
    }),
  );

/** I2: what a transactional step writes is there once for each entry that says so, with its epoch; never without. */
export const transactional: Rule = (record) =>
  stepsOf(record).flatMap(([step, how]) => {
    if (!how.transactional) return [];
    const epochs = (rows: readonly { readonly epoch: number }[]) => rows.map(({ epoch }) => epoch).join();
    return KINDS.flatMap((kind) => {
      const found = epochs(ofStep(record.effects, step, kind));
      const told = epochs(entriesOf(record, step, kind === 'action' ? KIND.completed : KIND.undone));
      return found === told
        ? []
        : [`I2: the ${kind} of the transactional ${step} was written at [${found}], recorded at [${told}]`];
    });
  });

/** I2: a step completes once. */
export const completions: Rule = (record) =>
  stepsOf(record).flatMap(([step]) => {
    const { length } = entriesOf(record, step, KIND.completed);
    return length > 1 ? [`I2: ${step} is recorded as completed ${length} times`] : [];
  });

/** An action is called only by the owner that launched it, after the launch is durable; an undo after the turn. */
export const launches: Rule = (record) => record.calls.flatMap((call) => launch(record, call));

function launch(record: SagaRecord, call: Call): string[] {
  const { step, kind, epoch, at } = call;
  if (kind === 'undo') {
    const turn = turnOf(record);
    return turn && turn.at <= at ? [] : [`I4: ${step} was undone before the saga had turned back`];
  }
  const first = epoch === 1 && record.launch.includes(step);
  const byEntry = record.journal.some(
    (entry) => entry.epoch === epoch && entry.launch.includes(step) && entry.at <= at,
  );
  return first || byEntry ? [] : [`I10: ${step} was called at epoch ${epoch}, which had not launched it`];
}

/** A handler that had an effect was called first: the ledger is whole. */
export const calls: Rule = (record) =>
  record.effects.flatMap((effect) => {
    const { step, kind, epoch, at } = effect;
    const called = ofStep(record.calls, step, kind).some((call) => call.epoch === epoch && call.at <= at);
    return called ? [] : [`I2: the ${kind} of ${step} had an effect at epoch ${epoch} without a call`];
  });

/** I7: an event is there if and only if its step is recorded as completed. */
export const events: Rule = (record) => {
  const known = stepsOf(record).flatMap(([step, { publishes }]) => {
    const wanted = publishes ? entriesOf(record, step, KIND.completed).length : 0;
    const found = record.events.filter((type) => type === `${step}.done`).length;
    return wanted === found ? [] : [`I7: ${found} events of ${step}, which completed ${wanted} times`];
  });
  const types = stepsOf(record).map(([step]) => `${step}.done`);
  const strange = record.events.filter((type) => !types.includes(type));
  return [...known, ...strange.map((type) => `I7: an event ${type} that no step publishes`)];
};
