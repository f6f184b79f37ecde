import { violations, type SagaRecord } from '../../chaos/support/oracle.js';
import { storyOf } from '../../chaos/support/oracle/story.js';
import { Tape } from './tape.js';

const completes = () =>
  new Tape('line completes', ['a'])
    .does('a', ['b'])
    .does('b', ['c'])
    .does('c', ['d'])
    .does('d')
    .ends('completed');

const turnsBack = () =>
  new Tape('line: c fails, clean', ['a'])
    .does('a', ['b'])
    .does('b', ['c'])
    .refuses('c')
    .undoes('b')
    .undoes('a')
    .ends('compensated');

const givesUp = () =>
  new Tape('diamond: undo of c fails, always', ['a'])
    .does('a', ['b', 'c'])
    .does('b')
    .does('c', ['d'])
    .refuses('d')
    .undoes('b')
    .undoGivesUp('c')
    .undoes('a')
    .ends('failed', { standing: ['c'] });

/** The process died in the pivot, and the next one asked whether it had happened. */
const goesOn = () =>
  new Tape('pivot completes', ['a'])
    .does('a', ['p'])
    .called('p')
    .effect('p')
    .takenOver(800, ['p'])
    .entry('step_completed', 'p', { launch: ['n'] })
    .does('n')
    .ends('completed');

/** The process of d died after its effect and before its failure was recorded; the next one died before it ran d. */
const lost = () =>
  new Tape('line: d fails, unknown', ['a'])
    .does('a', ['b'])
    .does('b', ['c'])
    .does('c', ['d'])
    .called('d')
    .effect('d')
    .takenOver(1_400)
    .entry('step_failed', 'd', { data: JSON.stringify({ code: 'SAGAZ_INTERRUPTED', outcome: 'unknown' }) })
    .undoes('d')
    .undoes('c')
    .undoes('b')
    .undoes('a')
    .ends('compensated');

type Change = (record: SagaRecord) => SagaRecord;
type Rows = 'effects' | 'calls' | 'journal';
type Row = { readonly step: string | null; readonly kind: string; readonly at: number };

const without =
  (rows: Rows, step: string, kind: string): Change =>
  (record) => ({
    ...record,
    [rows]: (record[rows] as readonly Row[]).filter((it) => it.step !== step || it.kind !== kind),
  });

/** Changes the first row that fits, and keeps the rows of the ledger in the order of time. */
const withRow =
  (rows: Rows, step: string | null, kind: string) =>
  (change: (row: Row) => object): Change =>
  (record) => {
    const found = (record[rows] as readonly Row[]).find((it) => it.step === step && it.kind === kind);
    if (!found) throw new Error(`no ${kind} of ${step}`);
    const changed = (record[rows] as readonly Row[]).map((it) =>
      it === found ? { ...it, ...change(it) } : it,
    );
    return { ...record, [rows]: rows === 'journal' ? changed : changed.sort((a, b) => a.at - b.at) };
  };

const again =
  (rows: 'effects' | 'calls', step: string, kind: string, change: object = {}): Change =>
  (record) => {
    const row = record[rows].find((it) => it.step === step && it.kind === kind);
    const at = Math.max(...record.effects.map((it) => it.at)) + 10;
    return { ...record, [rows]: [...record[rows], { ...row, at, ...change }] };
  };

const all =
  (...changes: Change[]): Change =>
  (record) =>
    changes.reduce((changed, change) => change(changed), record);

const is =
  (change: Partial<SagaRecord>): Change =>
  (record) => ({ ...record, ...change });

const sameAsTurn = (record: SagaRecord): Change =>
  withRow(
    'effects',
    'a',
    'undo',
  )(() => ({ at: (record.effects.find((it) => it.step === 'b' && it.kind === 'undo')?.at ?? 0) - 1 }));

describe('the oracle of the chaos suites', () => {
  it.each([
    ['completes', completes()],
    ['turns back', turnsBack()],
    ['gives up an undo', givesUp()],
    ['goes on behind its pivot', goesOn()],
    ['loses an action', lost()],
  ])('finds nothing in a saga that %s', (_, record) => {
    expect(violations(record)).toEqual([]);
  });

  it.each<readonly [string, SagaRecord, Change, string]>([
    ['runs on', completes(), is({ status: 'running' }), 'I1: it is running'],
    ['is parked', completes(), is({ status: 'parked' }), 'I1: it is parked'],
    [
      'turned back without a reason',
      turnsBack(),
      is({ scenario: completes().scenario }),
      'I1: it ended compensated, not completed',
    ],
    [
      'completed though a step of it fails',
      completes(),
      is({ scenario: turnsBack().scenario }),
      'I1: it ended completed, not compensated',
    ],
    [
      'completed without an effect',
      completes(),
      without('effects', 'd', 'action'),
      'I2: completed without the effect of d',
    ],
    [
      'was undone though it completed',
      completes(),
      again('effects', 'a', 'action', { kind: 'undo' }),
      'I2: completed, and a was undone',
    ],
    [
      'changed its key',
      completes(),
      again('effects', 'a', 'action', { key: 's:other' }),
      'I2: the action of a had the keys s:a and s:other',
    ],
    [
      'changed the key of an undo',
      turnsBack(),
      again('calls', 'a', 'undo', { key: 's:a' }),
      'I2: the undo of a had the keys s:a:undo and s:a',
    ],
    [
      'committed a transactional step twice',
      completes(),
      again('effects', 'b', 'action'),
      'I2: the action of the transactional b was written at [1,1], recorded at [1]',
    ],
    [
      'committed a transactional undo twice',
      turnsBack(),
      again('effects', 'b', 'undo'),
      'I2: the undo of the transactional b was written at [1,1], recorded at [1]',
    ],
    [
      'recorded a transactional step and lost what it wrote',
      completes(),
      without('effects', 'b', 'action'),
      'I2: the action of the transactional b was written at [], recorded at [1]',
    ],
    [
      'has an effect of which nobody was asked',
      completes(),
      without('calls', 'd', 'action'),
      'I2: the action of d had an effect at epoch 1 without a call',
    ],
    [
      'left an effect alone',
      turnsBack(),
      without('effects', 'a', 'undo'),
      'I3: compensated, and the effect of a stands',
    ],
    [
      'had an effect after its undo',
      turnsBack(),
      again('effects', 'a', 'action'),
      'I3: compensated, and the effect of a stands',
    ],
    [
      'failed and hides what stands',
      givesUp(),
      is({ error: JSON.stringify({ standing: [] }) }),
      'I3: failed, and names [] as standing instead of [c]',
    ],
    [
      'failed and names as standing what was undone',
      givesUp(),
      is({ error: JSON.stringify({ standing: ['c', 'a'] }) }),
      'I3: failed, and names [c,a] as standing instead of [c]',
    ],
    [
      'failed though no undo gave up',
      turnsBack(),
      is({ status: 'failed', error: JSON.stringify({ standing: ['a'] }) }),
      'I3: failed, though no undo gave up',
    ],
    [
      'calls itself compensated though an undo gave up',
      givesUp(),
      is({ status: 'compensated' }),
      'I3: compensated, though the undo of c gave up',
    ],
    [
      'undid what it never launched',
      turnsBack(),
      withRow('journal', 'a', 'step_completed')(() => ({ launch: [] })),
      'I3: b was undone and never launched',
    ],
    [
      'undid what had no effect',
      turnsBack(),
      again('calls', 'c', 'action', { kind: 'undo', key: 's:c:undo' }),
      'I3: c was undone, though it had no effect',
    ],
    [
      'went forward after an undo',
      turnsBack(),
      again('effects', 'a', 'action'),
      'I4: action a after the first undo',
    ],
    [
      'wrote forward after an undo with an old epoch',
      lost(),
      again('effects', 'b', 'action'),
      'I4: action b after the first undo',
    ],
    [
      'launched a step once it had turned back',
      turnsBack(),
      withRow('journal', 'b', 'undo_completed')(() => ({ launch: ['d'] })),
      'I4: entry 4 launched d after the turn',
    ],
    [
      'undid before it had turned back',
      turnsBack(),
      withRow('calls', 'b', 'undo')(() => ({ at: 1_001 })),
      'I4: b was undone before the saga had turned back',
    ],
    [
      'undid an action that may still run',
      lost(),
      withRow('calls', 'd', 'undo')(() => ({ at: 1_300 })),
      'I4: d was undone 200 ms after its action was lost, not 550',
    ],
    ['undid in the wrong order', turnsBack(), sameAsTurn(turnsBack()), 'I5: a was undone before b'],
    [
      'began an undo in the wrong order',
      turnsBack(),
      again('calls', 'a', 'undo', { at: 1_095 }),
      'I5: a was undone before b',
    ],
    [
      'undid behind its pivot',
      goesOn(),
      again('calls', 'a', 'action', { kind: 'undo', key: 's:a:undo' }),
      'I6: a was undone behind a completed pivot',
    ],
    ['lost an event', completes(), is({ events: ['b.done'] }), 'I7: 0 events of c, which completed 1 times'],
    [
      'published an event of a step that failed',
      turnsBack(),
      is({ events: ['b.done', 'c.done'] }),
      'I7: 1 events of c, which completed 0 times',
    ],
    [
      'published twice',
      completes(),
      is({ events: ['b.done', 'b.done', 'c.done'] }),
      'I7: 2 events of b, which completed 1 times',
    ],
    [
      'completed a step twice',
      completes(),
      (record) => ({ ...record, journal: [...record.journal, ...record.journal.slice(-1)] }),
      'I2: d is recorded as completed 2 times',
    ],
    [
      'has a gap in its journal',
      completes(),
      withRow('journal', 'd', 'step_completed')(() => ({ seq: 5 })),
      'I10: entry 5 is out of place',
    ],
    [
      'wrote an entry with an old epoch',
      lost(),
      withRow('journal', 'a', 'undo_completed')(() => ({ epoch: 1 })),
      'I10: entry 9 has the old epoch 1',
    ],
    [
      'wrote in a transaction with an old epoch',
      lost(),
      all(
        withRow('effects', 'b', 'undo')(() => ({ epoch: 1 })),
        withRow('calls', 'b', 'undo')(() => ({ epoch: 1 })),
      ),
      'I10: the undo of b has the old epoch 1',
    ],
    [
      'called a step that its owner had not launched',
      goesOn(),
      all(
        again('calls', 'p', 'action', { epoch: 2 }),
        withRow('journal', null, 'resumed')(() => ({ launch: [] })),
      ),
      'I10: p was called at epoch 2, which had not launched it',
    ],
    [
      'called a step before its launch was durable',
      completes(),
      withRow('calls', 'b', 'action')(() => ({ at: 1_015 })),
      'I10: b was called at epoch 1, which had not launched it',
    ],
  ])('reports a saga that %s', (_, good, change, text) => {
    expect(violations(good)).toEqual([]);
    expect(violations(change(good))).toContain(text);
  });

  it('excuses an end that time brought about, and only where the journal says so', () => {
    const scenario = completes().scenario;
    expect(violations({ ...lost(), scenario })).toEqual([]);
    const other = JSON.stringify({ code: 'ERROR', outcome: 'unknown' });
    const changed = withRow('journal', 'd', 'step_failed')(() => ({ data: other }))({ ...lost(), scenario });
    expect(violations(changed)).toEqual(['I1: it ended compensated, not completed']);
  });

  it('excuses the ordinary action of a process that was given up, when it is undone again', () => {
    const late = again('effects', 'd', 'action')(lost());
    const undoneAgain = all(again('effects', 'd', 'undo', { at: 9_000 }), (record) => ({
      ...record,
      journal: [...record.journal, entry(record, 'late_completed')],
    }));
    expect(violations(late)).toEqual(['I3: compensated, and the effect of d stands']);
    expect(violations(undoneAgain(late))).toEqual([]);
  });
});

describe('the story of a saga', () => {
  it('tells what happened in the order of time, in milliseconds since the first', () => {
    const lines = storyOf(turnsBack())
      .split('\n')
      .map((line) => line.trim());
    expect(lines[0]).toBe('line: c fails, clean: compensated, launched [a]');
    expect(lines.slice(1, 4)).toEqual([
      '0.0 epoch 1   call action a, attempt 1',
      '10.0 epoch 1   effect action a',
      '20.0 epoch 1 entry 1 step_completed a [b]',
    ]);
    expect(lines).toHaveLength(15);
  });
});

function entry({ journal }: SagaRecord, kind: string): SagaRecord['journal'][number] {
  const seq = journal.length + 1;
  return { seq, epoch: 2, kind, step: 'd', launch: [], data: null, at: 8_000 };
}
