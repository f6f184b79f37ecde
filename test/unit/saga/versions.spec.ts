import { SagaDefinitionError, SagaNotFoundError } from '../../../lib/saga/state/errors.js';
import { hashOf } from '../../../lib/saga/definition/definition-data.js';
import type { SagaDraft } from '../../../lib/saga/definition/saga-draft.js';
import { SagaRegistry } from '../../../lib/saga/definition/saga-registry.js';
import { Housekeeper } from '../../../lib/saga/recovery/housekeeper.js';
import { SagazTelemetry, Telemetry } from '../../../lib/runtime/telemetry.js';
import { MemoryLog } from '../../support/memory-log.js';
import { draftOf, processOf, QUICK, saga, SagaWorld, type TestSteps } from '../../support/saga-world.js';

const nothing = () => undefined;

/** A registry with these drafts, each named by itself. */
function registryOf(...drafts: readonly SagaDraft[]): SagaRegistry {
  const registry = new SagaRegistry();
  registry.register(drafts.map((draft) => ({ draft, source: draft })));
  return registry;
}

const quick = { retry: QUICK, compensationRetry: QUICK };

/** Only the undos of these steps. */
function retired(steps: TestSteps): SagaDraft {
  return { ...draftOf(steps, quick), steps: [], retired: true };
}

describe('the hash of a definition', () => {
  const base = { hotel: { undo: nothing }, flight: {} } as const;
  const hash = (steps: TestSteps) => saga(steps).hash;

  it.each<[string, TestSteps]>([
    ['another time-out', { hotel: { undo: nothing, timeout: 5 }, flight: {} }],
    ['another retry', { hotel: { undo: nothing, retry: 7 }, flight: {} }],
    ['another handler', { hotel: { undo: nothing, run: nothing }, flight: {} }],
    [
      'another order of writing',
      { flight: { dependsOn: ['hotel'] }, hotel: { undo: nothing, dependsOn: [] } },
    ],
  ])('is the same with %s', (_, steps) => {
    expect(hash(steps)).toBe(hash(base));
  });

  it.each<[string, TestSteps]>([
    ['another name', { hostel: { undo: nothing }, flight: {} }],
    ['another step', { ...base, car: {} }],
    ['another edge', { hotel: { undo: nothing }, flight: { dependsOn: [] } }],
    ['another kind', { hotel: { undo: nothing, transactional: true }, flight: {} }],
    ['a pivot', { hotel: { undo: nothing }, flight: { pivot: true } }],
    ['one undo less', { hotel: {}, flight: {} }],
    ['another place of an undo', { hotel: { undo: nothing, undoOptions: { after: [] } }, flight: {} }],
    ['a wait', { hotel: { undo: nothing }, flight: { waitFor: 'go', waitTimeout: '1h' } }],
    ['a delay', { hotel: { undo: nothing }, flight: { delay: '1h' } }],
  ])('is another one with %s', (_, steps) => {
    expect(hash(steps)).not.toBe(hash(base));
  });

  it('does not depend on the time of a wait', () => {
    const wait = (delay: '1h' | '2h') => saga({ hotel: { delay, readOnly: true } });
    expect(wait('1h').hash).toBe(wait('2h').hash);
    expect(wait('1h').hash).toBe(hashOf(wait('1h').data));
  });
});

describe('versions side by side', () => {
  it('each run by the process that has it', async () => {
    const world = new SagaWorld();
    const trace: string[] = [];
    const of = (version: number): SagaDraft => ({
      ...draftOf({ hotel: { run: () => void trace.push(`v${version}`), readOnly: true } }, quick),
      version,
    });
    const one = processOf(world, registryOf(of(1)), 'one');
    const both = processOf(world, registryOf(of(1), of(2)), 'both');
    await both.lease.start();
    const old = await one.orchestrator.start('trip', {});
    const fresh = await both.orchestrator.start('trip', {});
    one.executor.close();
    both.worker.start();
    await world.clock.until(both.orchestrator.result(old.sagaId));
    await world.clock.until(both.orchestrator.result(fresh.sagaId));
    expect(trace.sort()).toEqual(['v1', 'v2']);
  });

  it('leave a saga alone whose steps were changed under its version', async () => {
    const world = new SagaWorld();
    const old = processOf(
      world,
      registryOf(draftOf({ hotel: { run: nothing, readOnly: true } }, quick)),
      'old',
    );
    const { sagaId } = await old.orchestrator.start('trip', {});
    const changed = draftOf({ hotel: { readOnly: true }, car: { readOnly: true } }, quick);
    const other = processOf(world, registryOf(changed), 'other');
    await other.lease.start();
    other.worker.start();
    await world.clock.advance(5_000);
    expect(await world.status(sagaId)).toBe('pending');
    const again = processOf(world, registryOf(draftOf({ hotel: { readOnly: true } }, quick)), 'again');
    await again.lease.start();
    again.worker.start();
    expect(await world.clock.until(again.orchestrator.result(sagaId))).toMatchObject({ status: 'completed' });
  });
});

describe('a retired version', () => {
  /** A saga of two steps whose process goes away when the first one is done; then what is left of its version takes it. */
  async function takenOver(left: TestSteps, steps: TestSteps, { killed = false } = {}) {
    const world = new SagaWorld();
    const first = processOf(world, registryOf(draftOf(steps, quick)), 'first');
    await first.lease.start();
    const { sagaId } = await first.orchestrator.start('trip', {});
    await world.clock.advance(10);
    if (!killed) {
      first.executor.close();
      first.executor.stop();
      await world.clock.advance(30_000);
    }
    await first.lease.stop(!killed);
    const second = processOf(world, registryOf(retired(left)), 'second');
    await second.lease.start();
    second.worker.start();
    const ended = world.clock.until(second.orchestrator.result(sagaId));
    return { world, ended };
  }
  const undone: unknown[] = [];
  const undo: TestSteps[string]['undo'] = ({ step, result, outcome }) =>
    void undone.push([step, outcome, result]);
  beforeEach(() => {
    undone.length = 0;
  });
  const hold: TestSteps[string]['run'] = ({ signal }) =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error));
    });

  it('undoes its sagas with the undos that are left, and runs no step', async () => {
    const { ended } = await takenOver(
      { hotel: { undo }, flight: { undo } },
      { hotel: { run: () => ({ room: 7 }), undo }, flight: { run: hold, undo, timeout: '20s' } },
    );
    expect(await ended).toMatchObject({
      status: 'compensated',
      error: {
        code: 'SAGAZ_VERSION_NOT_REGISTERED',
        message: 'version 1 of saga "trip" is retired: its sagas are undone, none goes forward',
      },
    });
    expect(undone).toEqual([
      ['flight', 'unknown', undefined],
      ['hotel', 'completed', { room: 7 }],
    ]);
  });

  it('parks a saga that has reached its pivot', async () => {
    const { ended } = await takenOver(
      { hotel: { undo } },
      { hotel: { undo }, pay: { pivot: true, run: hold, timeout: '20s' } },
    );
    expect(await ended).toMatchObject({ status: 'parked', error: { code: 'SAGAZ_VERSION_NOT_REGISTERED' } });
    expect(undone).toEqual([]);
  });

  it('parks a saga of which an undo is missing, and says which', async () => {
    const { ended } = await takenOver(
      { hotel: { undo } },
      { hotel: { undo }, flight: { run: hold, undo, timeout: '20s' } },
    );
    expect(await ended).toMatchObject({
      status: 'parked',
      error: {
        code: 'SAGAZ_DEFINITION_CHANGED',
        message: 'Trip has no undo of flight, but sagas of version 1 were started with it',
      },
    });
    expect(undone).toEqual([]);
  });

  it('waits for the lost attempt of a step as long as that step could have taken, though its code is gone', async () => {
    const { ended, world } = await takenOver(
      { hotel: { undo } },
      { hotel: { run: hold, undo, timeout: '10m' } },
      { killed: true },
    );
    await ended;
    expect(world.clock.monotonic()).toBeGreaterThan(600_000);
    expect(undone).toEqual([['hotel', 'unknown', undefined]]);
  });

  it('cannot be started, by name, version or definition, and does not hide the others', async () => {
    const old = retired({ hotel: { undo } });
    const fresh = { ...draftOf({ hotel: { readOnly: true } }), version: 2 };
    const { orchestrator } = processOf(new SagaWorld(), registryOf(old, fresh), 'one');
    const start = (ref: string | object, version?: number) =>
      orchestrator.start(ref as string, {}, version === undefined ? {} : { version });
    const message = 'version 1 of saga "trip" is retired';
    await expect(start('trip', 1)).rejects.toThrow(SagaNotFoundError);
    await expect(start('trip', 1)).rejects.toThrow(message);
    await expect(start(old)).rejects.toThrow(message);
    await expect(start('trip')).resolves.toBeDefined();
  });

  it('is told with every fault like any other', () => {
    const wrong = { ...retired({}), version: 0, options: { stepTimeot: 1 } };
    expect(() => registryOf(wrong)).toThrow(SagaDefinitionError);
    expect(() => registryOf(wrong)).toThrow(
      /version: expected a whole number[^]*unknown option "stepTimeot"/,
    );
    expect(() => registryOf(retired({}), draftOf({ hotel: {} }))).toThrow(/DUPLICATE_SAGA/);
    expect(() => registryOf(draftOf({ hotel: {} }), retired({}))).toThrow(/DUPLICATE_SAGA/);
  });
});

describe('the housekeeper', () => {
  const heard: { sagas: number; message: string }[] = [];
  let stop: () => void;
  beforeEach(() => {
    heard.length = 0;
    stop = SagazTelemetry.subscribe('saga.stranded', ({ sagas, message }) => {
      heard.push({ sagas, message });
    });
  });
  afterEach(() => stop());

  function housekeeper(world: SagaWorld, registry: SagaRegistry) {
    const { storage, clock } = world;
    const log = new MemoryLog();
    const telemetry = new Telemetry('one', clock, log);
    const keeping = { retentionMs: 3_600_000, keyRetentionMs: 7_200_000 };
    const keeper = new Housekeeper({ storage, registry, clock, log, telemetry, ...keeping });
    return { keeper, log };
  }

  async function started(world: SagaWorld, steps: TestSteps) {
    const first = processOf(world, registryOf(draftOf(steps, quick)), 'first');
    return first.orchestrator.start('trip', {});
  }

  it('raises an alarm at the second look for sagas of a version that no living worker has, and again each hour', async () => {
    const world = new SagaWorld();
    await started(world, { hotel: { readOnly: true } });
    const { keeper, log } = housekeeper(world, new SagaRegistry());
    keeper.start();
    await world.clock.advance(1_000);
    expect(heard).toEqual([]);
    await world.clock.advance(30_000);
    expect(heard).toEqual([
      {
        sagas: 1,
        message:
          '1 of saga "trip" version 1 wait for a process that has this version, and none is alive: ' +
          'deploy one, or register the version with retired: true and its undos',
      },
    ]);
    expect(log.lines.join()).toContain('alarm saga.stranded');
    await world.clock.advance(3_000_000);
    expect(heard).toHaveLength(1);
    await world.clock.advance(700_000);
    expect(heard).toHaveLength(2);
    await keeper.stop();
  });

  it('raises it at once where the steps were changed under their version, and says how', async () => {
    const world = new SagaWorld();
    await started(world, { hotel: { readOnly: true }, flight: { readOnly: true }, car: { readOnly: true } });
    const changed = draftOf(
      {
        hotel: { readOnly: true, dependsOn: [] },
        car: { readOnly: true, dependsOn: [] },
        bus: { readOnly: true, dependsOn: ['car'] },
      },
      quick,
    );
    const { keeper } = housekeeper(world, registryOf(changed));
    keeper.start();
    await world.clock.advance(1_000);
    expect(heard.map(({ message }) => message)).toEqual([
      '1 of saga "trip" version 1 were started with other steps than those of this version here ' +
        '(without flight; with bus; changed: car): ' +
        'register the steps they were started with, and give the changed ones a new version',
    ]);
    await keeper.stop();
  });

  it('says nothing while a living worker has the version', async () => {
    const world = new SagaWorld();
    const registry = registryOf(draftOf({ hotel: { delay: '1h', readOnly: true } }, quick));
    const one = processOf(world, registry, 'one');
    await one.lease.start();
    await one.orchestrator.start('trip', {});
    const { keeper } = housekeeper(world, new SagaRegistry());
    keeper.start();
    await world.clock.advance(120_000);
    expect(heard).toEqual([]);
    await keeper.stop();
  });

  it('deletes what is past its retention, in batches', async () => {
    const world = new SagaWorld();
    const registry = registryOf(draftOf({ hotel: { readOnly: true } }, quick));
    const one = processOf(world, registry, 'one', 2_000);
    await one.lease.start();
    for (let n = 0; n < 1_200; n++) await one.orchestrator.start('trip', {}, { idempotencyKey: `key ${n}` });
    await world.clock.advance(1_000);
    const { keeper } = housekeeper(world, registry);
    keeper.start();
    await world.clock.advance(3_590_000);
    expect(world.database.sagas.size).toBe(1_200);
    await world.clock.advance(60_000);
    expect([world.database.sagas.size, world.database.keys.size]).toEqual([0, 1_200]);
    await world.clock.advance(3_600_000);
    expect(world.database.keys.size).toBe(0);
    await keeper.stop();
    await one.lease.stop(true);
  });
});
