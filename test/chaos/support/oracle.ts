import type { Effect } from './ledger.js';
import { SHAPES, type Scenario, type Shape } from './scenarios.js';

export interface JournalRow {
  readonly seq: number;
  readonly epoch: number;
  readonly kind: string;
  readonly step: string | null;
  readonly data: string | null;
}

/** Everything that is known of one saga when nothing runs any more. */
export interface SagaRecord {
  readonly scenario: Scenario;
  readonly status: string;
  /** JSON text. */
  readonly error: string | null;
  readonly journal: readonly JournalRow[];
  /** Of both databases, by time. */
  readonly effects: readonly Effect[];
  /** Types of its events in the outbox. */
  readonly events: readonly string[];
}

const COMPLETED = 'step_completed';
/** Ends that a crash or a slow machine may bring about where the scenario alone would not. */
const BY_TIME = ['SAGAZ_STEP_TIMEOUT', 'SAGAZ_INTERRUPTED'];

/** What the record breaks of the invariants of a saga, in words; none when all hold. Owes nothing to the engine. */
export function violations(record: SagaRecord): string[] {
  return [
    ...terminal(record),
    ...(record.status === 'completed' ? completed(record) : undone(record)),
    ...keys(record),
    ...order(record),
    ...pivot(record),
    ...fences(record),
    ...events(record),
  ];
}

const shapeOf = ({ scenario }: SagaRecord): Shape => SHAPES[scenario.shape];
const effectsOf = ({ effects }: SagaRecord, step: string, kind: Effect['kind']) =>
  effects.filter((effect) => effect.step === step && effect.kind === kind);
const entriesOf = ({ journal }: SagaRecord, step: string, kind: string) =>
  journal.filter((entry) => entry.step === step && entry.kind === kind);

export function expectedStatus({ shape, faults }: Scenario): string {
  if (Object.values(faults.undos ?? {}).includes('always')) return 'failed';
  const fatal = Object.entries(faults.actions ?? {}).some(([, how]) => how !== 'twice');
  return fatal ? 'compensated' : shape === 'pivot' ? 'completed' : 'completed';
}

function terminal({ status, scenario, journal }: SagaRecord): string[] {
  if (!['completed', 'compensated', 'failed'].includes(status)) return [`I1: it is ${status}`];
  const codes = journal.flatMap(({ data }) => (data === null ? [] : codesOf(data)));
  const expected = expectedStatus(scenario);
  if (status === expected || BY_TIME.some((code) => codes.includes(code))) return [];
  return [`I1: it ended ${status}, not ${expected}`];
}

function codesOf(data: string): string[] {
  const { code } = (JSON.parse(data) ?? {}) as { code?: string };
  return code === undefined ? [] : [code];
}

function completed(record: SagaRecord): string[] {
  return Object.entries(shapeOf(record)).flatMap(([step, { transactional }]) => {
    const actions = effectsOf(record, step, 'action').length;
    const undos = effectsOf(record, step, 'undo').length;
    return [
      ...(actions === 0 ? [`I2: completed without the effect of ${step}`] : []),
      ...(transactional && actions > 1 ? [`I2: ${actions} effects of the transactional ${step}`] : []),
      ...(undos > 0 ? [`I2: completed, and ${step} was undone`] : []),
    ];
  });
}

/** For every effect its undo, afterwards; of a failed saga all but those that it says are standing. */
function undone(record: SagaRecord): string[] {
  const { standing = [] } = (JSON.parse(record.error ?? '{}') ?? {}) as { standing?: readonly string[] };
  if (record.status === 'failed' && standing.length === 0)
    return ['I3: failed, and says not what is standing'];
  return Object.keys(shapeOf(record)).flatMap((step) => {
    const last = effectsOf(record, step, 'action').at(-1);
    if (!last || (record.status === 'failed' && standing.includes(step))) return [];
    const isUndone = effectsOf(record, step, 'undo').some(({ at }) => at > last.at);
    return isUndone ? [] : [`I3: ${record.status}, and the effect of ${step} stands`];
  });
}

function keys(record: SagaRecord): string[] {
  return Object.keys(shapeOf(record)).flatMap((step) =>
    (['action', 'undo'] as const).flatMap((kind) => {
      const used = new Set(effectsOf(record, step, kind).map(({ key }) => key));
      return used.size > 1 ? [`I2: ${kind} of ${step} had the keys ${[...used].join(' and ')}`] : [];
    }),
  );
}

/** No action after the first undo, and no undo before those of the steps that stand behind its step. */
function order(record: SagaRecord): string[] {
  const shape = shapeOf(record);
  const firstUndo = record.effects.find(({ kind }) => kind === 'undo');
  const late = record.effects.find(({ kind, at }) => firstUndo && kind === 'action' && at > firstUndo.at);
  const wrong = Object.keys(shape).flatMap((step) =>
    before(shape, step).flatMap((earlier) => {
      const own = effectsOf(record, step, 'undo').at(-1);
      const its = effectsOf(record, earlier, 'undo')[0];
      return own && its && its.at < own.at ? [`I5: ${earlier} was undone before ${step}`] : [];
    }),
  );
  return [...(late ? [`I4: action ${late.step} after the first undo`] : []), ...wrong];
}

/** Steps on which a step depends, near and far. */
function before(shape: Shape, step: string): readonly string[] {
  const { after = [] } = shape[step] ?? {};
  return after.flatMap((name) => [name, ...before(shape, name)]);
}

function pivot(record: SagaRecord): string[] {
  const [name] = Object.entries(shapeOf(record)).find(([, step]) => step.pivot) ?? [];
  if (name === undefined || entriesOf(record, name, COMPLETED).length === 0) return [];
  return record.effects.some(({ kind }) => kind === 'undo') ? ['I6: undone behind a completed pivot'] : [];
}

/** Epochs only grow, numbers have no gap, and what a transaction wrote bears the epoch of its entry. */
function fences(record: SagaRecord): string[] {
  const { journal } = record;
  const gaps = journal
    .filter(({ seq }, index) => seq !== index + 1)
    .map(({ seq }) => `I10: entry ${seq} is out of place`);
  const old = journal
    .filter(({ epoch }, index) => epoch < (journal[index - 1]?.epoch ?? 0))
    .map(({ seq, epoch }) => `I10: entry ${seq} has the old epoch ${epoch}`);
  const strange = Object.entries(shapeOf(record)).flatMap(([step, { transactional }]) => {
    if (!transactional) return [];
    const epochs = entriesOf(record, step, COMPLETED).map(({ epoch }) => epoch);
    const actions = effectsOf(record, step, 'action');
    return actions.every(({ epoch }) => epochs.includes(epoch))
      ? []
      : [`I10: ${step} was written without its entry`];
  });
  return [...gaps, ...old, ...strange];
}

/** An event is there if and only if its step is recorded as completed. */
function events(record: SagaRecord): string[] {
  return Object.entries(shapeOf(record)).flatMap(([step, { publishes }]) => {
    if (!publishes) return [];
    const wanted = entriesOf(record, step, COMPLETED).length;
    const found = record.events.filter((type) => type === `${step}.done`).length;
    return wanted === found ? [] : [`I7: ${found} events of ${step}, which completed ${wanted} times`];
  });
}
