import { auditOf } from '../../lib/admin/operator.js';
import { InMemoryBroker } from '../../lib/brokers/memory/in-memory-broker.js';
import { makeEvent } from '../../lib/events/event-factory.js';
import type { OutboxEventInput } from '../../lib/events/outbox-event.js';
import type { PublishItem, PublishOutcome, PublishOutcomes } from '../../lib/events/publish.js';
import { SHARD_COUNT, shardOf } from '../../lib/events/shard.js';
import { Outbox } from '../../lib/outbox/outbox.js';
import type { OutboxReader, PendingEvent, ReadBatch, ReadRequest } from '../../lib/outbox/outbox-storage.js';
import { OutboxWorker } from '../../lib/outbox/outbox-worker.js';
import { Publisher, type Destination } from '../../lib/outbox/publisher.js';
import { ReadPosition } from '../../lib/outbox/read-position.js';
import { CircuitBreakers } from '../../lib/outbox/circuit-breakers.js';
import { OutboxRetries } from '../../lib/outbox/outbox-retries.js';
import { MemoryRetryStorage } from '../../lib/persistence/memory/memory-retry-storage.js';
import { SagazTelemetry, Telemetry } from '../../lib/runtime/telemetry.js';
import { MemorySuspectStorage } from '../../lib/persistence/memory/memory-suspect-storage.js';
import type { SuspectStorage } from '../../lib/outbox/suspect-storage.js';
import { roundsOf } from '../../lib/outbox/rounds.js';
import { Standby } from '../../lib/outbox/standby.js';
import { Suspicions } from '../../lib/outbox/suspicions.js';
import { MemoryDatabase } from '../../lib/persistence/memory/memory-database.js';
import { MemoryOutboxStorage } from '../../lib/persistence/memory/memory-outbox-storage.js';
import { Deferred } from '../../lib/runtime/deferred.js';
import {
  SagaInputError,
  TransactionRequiredError,
  UnknownDestinationError,
} from '../../lib/saga/state/errors.js';
import { FakeClock, isPending, settled } from '../support/fake-clock.js';
import { MemoryLog } from '../support/memory-log.js';

const LIVING = { relays: true, leaseMs: 10_000, dead: false };
const OK: PublishOutcome = { status: 'ok' };
const LATER: PublishOutcome = { status: 'retryable', reason: 'the broker is busy' };

function pendingEvent(id: number, more: Partial<PendingEvent> = {}): PendingEvent {
  return {
    ...{
      id: BigInt(id),
      eventId: `event-${id}`,
      shard: 0,
      destination: 'default',
      type: 'room.booked',
      key: 'k',
    },
    ...{ aggregateType: null, aggregateId: null, payload: '{}', headers: '{}', createdMs: 0 },
    ...more,
  };
}

describe('ReadPosition', () => {
  const NONE = new Set<number>();
  const BATCH = 100;

  function batch(xmax: string, ...events: readonly [shard: number, id: number][]): ReadBatch {
    return {
      events: events.map(([shard, id]) => pendingEvent(id, { shard })),
      snapshot: { xmax, inProgress: [] },
    };
  }

  const ids = (events: readonly PendingEvent[]) => events.map(({ shard, id }) => [shard, Number(id)]);

  it('reads new shards from their lowest pending id, without a snapshot', () => {
    const position = new ReadPosition();
    position.own([3, 7]);
    expect(position.request(NONE, BATCH)).toEqual({
      positions: new Map([
        [3, 0n],
        [7, 0n],
      ]),
      previous: undefined,
      limits: new Map([
        [3, 50],
        [7, 50],
      ]),
    });
  });

  it('moves on to the highest id of each shard, with the snapshot of the last read', () => {
    const position = new ReadPosition();
    position.own([3, 7]);
    position.accept(batch('90', [3, 5], [3, 9], [7, 2]), position.request(NONE, BATCH));
    const { positions, previous } = position.request(NONE, BATCH);
    expect([...positions]).toEqual([
      [3, 9n],
      [7, 2n],
    ]);
    expect(previous).toEqual({ xmax: '90', inProgress: [] });
  });

  it('gives the events of each shard in the order of their ids, late ones first', () => {
    const position = new ReadPosition();
    position.own([3]);
    position.accept(batch('90', [3, 10]), position.request(NONE, BATCH));
    const taken = position.accept(
      batch('91', [3, 12], [3, 4], [3, 11], [3, 100]),
      position.request(NONE, BATCH),
    );
    expect(ids(taken)).toEqual([
      [3, 4],
      [3, 11],
      [3, 12],
      [3, 100],
    ]);
    expect(position.request(NONE, BATCH).positions.get(3)).toBe(100n);
  });

  it('does not go back for a late event alone', () => {
    const position = new ReadPosition();
    position.own([3]);
    position.accept(batch('90', [3, 10]), position.request(NONE, BATCH));
    expect(ids(position.accept(batch('91', [3, 4]), position.request(NONE, BATCH)))).toEqual([[3, 4]]);
    expect(position.request(NONE, BATCH).positions.get(3)).toBe(10n);
  });

  it('takes nothing of a shard whose late events fill the limit, and reads it again from zero', () => {
    const position = new ReadPosition();
    position.own([3, 7]);
    position.accept(batch('90', [3, 10], [7, 20]), position.request(NONE, BATCH));
    const request = position.request(NONE, 4);
    expect([...request.limits.values()]).toEqual([2, 2]);
    const taken = position.accept(batch('91', [3, 4], [3, 5], [3, 11], [7, 19], [7, 21]), request);
    expect(ids(taken)).toEqual([
      [7, 19],
      [7, 21],
    ]);
    expect([...position.request(NONE, BATCH).positions]).toEqual([
      [3, 0n],
      [7, 21n],
    ]);
    const again = position.accept(batch('92', [3, 4], [3, 5]), position.request(NONE, BATCH));
    expect(ids(again)).toEqual([
      [3, 4],
      [3, 5],
    ]);
  });

  it('asks for the batch size of the moment: a smaller one at once after a batch that got stuck', () => {
    const position = new ReadPosition();
    position.own([1, 2]);
    expect([100, 50, 1].map((batchSize) => position.request(NONE, batchSize).limits.get(1))).toEqual([
      50, 25, 1,
    ]);
  });

  it('divides the batch by the shards that had rows, so that one hot key is not starved', () => {
    const position = new ReadPosition();
    position.own([1, 2, 3, 4]);
    const limits = () => [...position.request(NONE, BATCH).limits.values()];
    expect(limits()).toEqual([25, 25, 25, 25]);
    position.accept(batch('1', [2, 1]), position.request(NONE, BATCH));
    expect(limits()).toEqual([25, 100, 25, 25]);
    position.accept(batch('2', [2, 2], [3, 3], [4, 4]), position.request(NONE, BATCH));
    expect(limits()).toEqual([25, 34, 34, 34]);
    position.accept(batch('3'), position.request(NONE, BATCH));
    expect(limits()).toEqual([25, 25, 25, 25]);
  });

  it('leaves resting shards out, and asks for nothing when all rest', () => {
    const position = new ReadPosition();
    position.own([1, 2]);
    expect([...position.request(new Set([1]), BATCH).positions.keys()]).toEqual([2]);
    expect(position.request(new Set([1, 2]), BATCH).positions.size).toBe(0);
  });

  it('reads a shard that rested from its lowest pending id: what committed late meanwhile would be lost', () => {
    const position = new ReadPosition();
    position.own([1, 2]);
    position.accept(batch('90', [1, 8], [2, 9]), position.request(NONE, BATCH));
    position.accept(batch('95', [2, 10]), position.request(new Set([1]), BATCH));
    expect(position.request(NONE, BATCH)).toMatchObject({
      positions: new Map([
        [1, 0n],
        [2, 10n],
      ]),
      fromTheStart: true,
    });
  });

  it('keeps its place in shards it still owns, and begins anew in one that it lost and got back', () => {
    const position = new ReadPosition();
    position.own([1, 2]);
    position.accept(batch('1', [1, 8], [2, 9]), position.request(NONE, BATCH));
    position.own([2, 5]);
    expect([...position.request(NONE, BATCH).positions]).toEqual([
      [2, 9n],
      [5, 0n],
    ]);
    position.own([1, 2]);
    expect(position.request(NONE, BATCH).positions.get(1)).toBe(0n);
  });

  it('reads one shard again from zero when it is restarted, and never one that it does not own', () => {
    const position = new ReadPosition();
    position.own([1, 2]);
    position.accept(batch('1', [1, 8], [2, 9]), position.request(NONE, BATCH));
    position.restart(1);
    position.restart(6);
    expect([...position.request(NONE, BATCH).positions]).toEqual([
      [1, 0n],
      [2, 9n],
    ]);
  });

  it('forgets places and snapshot, which mean nothing on another connection', () => {
    const position = new ReadPosition();
    position.own([1]);
    position.accept(batch('1', [1, 8]), position.request(NONE, BATCH));
    position.forget();
    expect(position.request(NONE, BATCH).positions.size).toBe(0);
    position.own([1]);
    expect(position.request(NONE, BATCH)).toMatchObject({
      positions: new Map([[1, 0n]]),
      previous: undefined,
    });
  });
});

describe('roundsOf', () => {
  const MIB = 1_048_576;
  const sizes = (rounds: readonly (readonly PendingEvent[])[]) => rounds.map(({ length }) => length);

  it('publishes a batch in one round', () => {
    expect(
      sizes(
        roundsOf(
          [1, 2, 3].map((id) => pendingEvent(id)),
          false,
        ),
      ),
    ).toEqual([3]);
  });

  it('reads no more than sixteen MiB of large payloads at once, and a larger one alone', () => {
    const large = (id: number, mib: number) => pendingEvent(id, { payload: '', absentBytes: mib * MIB });
    const events = [large(1, 6), large(2, 6), pendingEvent(3), large(4, 6), large(5, 40), large(6, 16)];
    expect(sizes(roundsOf(events, false))).toEqual([3, 1, 1, 1]);
  });
});

describe('CircuitBreakers', () => {
  it('leave a destination alone longer after each failure in a row, up to five seconds, until it takes something', async () => {
    const clock = new FakeClock();
    const breakers = new CircuitBreakers(clock);
    const rests: number[] = [];
    for (let n = 1; n <= 8; n++) {
      const from = clock.monotonic();
      expect(breakers.trip('audit')).toBe(n);
      expect([breakers.takeHalfOpen(), [...breakers.open]]).toEqual([false, ['audit']]);
      while (!breakers.takeHalfOpen()) await clock.advance(100);
      expect([breakers.open.size, breakers.takeHalfOpen()]).toEqual([0, false]);
      rests.push(clock.monotonic() - from);
    }
    expect(rests).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    expect([breakers.close('audit'), breakers.close('audit')]).toEqual([true, false]);
    expect(breakers.trip('audit')).toBe(1);
  });

  it('one that gets no events when its pause is over does not count as unreached, and is forgotten after ten seconds', async () => {
    const clock = new FakeClock();
    const breakers = new CircuitBreakers(clock);
    breakers.trip('audit');
    expect(breakers.nothingSince).toBe(0);
    await clock.advance(100);
    expect([breakers.takeHalfOpen(), breakers.nothingSince]).toEqual([true, undefined]);
    await clock.advance(9_999);
    expect(breakers.takeIdle()).toEqual([]);
    await clock.advance(1);
    expect([breakers.takeIdle(), breakers.takeIdle()]).toEqual([['audit'], []]);
    expect(breakers.trip('audit')).toBe(1);
  });
});

/** A broker that answers as it is told and keeps what it was given. */
class ScriptedDestination implements Destination {
  readonly batches: string[][] = [];
  readonly items: PublishItem[] = [];
  signal: AbortSignal | undefined;
  /** Does not answer a ping. */
  down = false;

  constructor(
    private readonly answer: (item: PublishItem) => PublishOutcome = () => OK,
    private readonly whole?: (batch: readonly PublishItem[], signal: AbortSignal) => unknown,
  ) {}

  publish(batch: readonly PublishItem[], signal: AbortSignal): Promise<PublishOutcomes> {
    this.signal = signal;
    this.batches.push(batch.map(({ type }) => type));
    this.items.push(...batch);
    if (this.whole) return this.whole(batch, signal) as Promise<PublishOutcomes>;
    if (this.down) return Promise.reject(new Error('no connection'));
    return Promise.resolve(batch.map(this.answer));
  }

  ping(): Promise<void> {
    return this.down ? Promise.reject(new Error('no connection')) : Promise.resolve();
  }
}

describe('Publisher', () => {
  function setUp(destinations: Record<string, Destination>) {
    const clock = new FakeClock();
    const publisher = new Publisher(new Map(Object.entries(destinations)), 1_000, clock);
    const publish = async (events: readonly PendingEvent[], limitMs = Infinity, fairMs = 0) => {
      const groups = await publisher.publish(events, { limitMs, fairMs });
      const found = groups.flatMap((group) => group.events.map((event, n) => ({ event, group, n })));
      return events.map((wanted) => {
        const { group, n } = found.find(({ event }) => event === wanted) ?? {};
        const outcome = group?.outcomes[n ?? -1];
        if (group?.outage !== undefined) return `down: ${group.outage}`;
        if (!outcome) return 'left';
        return outcome.status === 'ok' ? 'ok' : `${outcome.status}: ${outcome.reason}`;
      });
    };
    return { clock, publish };
  }

  it('gives each destination its events as one batch, in their order', async () => {
    const [main, audit] = [new ScriptedDestination(), new ScriptedDestination()];
    const { publish } = setUp({ default: main, audit });
    const events = ['default', 'audit', 'default', 'audit'].map((destination, n) =>
      pendingEvent(n, { destination, type: `event ${n}` }),
    );
    await expect(publish(events)).resolves.toEqual(['ok', 'ok', 'ok', 'ok']);
    expect(main.batches).toEqual([['event 0', 'event 2']]);
    expect(audit.batches).toEqual([['event 1', 'event 3']]);
  });

  it('passes the payload on as it is, and puts what every event has into its headers', async () => {
    const main = new ScriptedDestination();
    const { publish } = setUp({ default: main });
    const createdMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
    const headers = '{"tenant":"north","id":"forged"}';
    await publish([pendingEvent(1, { payload: '{"room": 7}', key: 'guest', headers, createdMs })]);
    const seen = main.items.map(({ eventId, type, key, payload, headers: all }) => ({
      ...{ eventId, type, key, payload },
      headers: all,
    }));
    expect(seen).toEqual([
      {
        ...{ eventId: 'event-1', type: 'room.booked', key: 'guest', payload: '{"room": 7}' },
        headers: {
          ...{ tenant: 'north', id: 'event-1', type: 'room.booked', key: 'guest' },
          occurredAt: '2026-01-02T03:04:05.678Z',
        },
      },
    ]);
  });

  it('gives each event the outcome at its place', async () => {
    const answer = ({ eventId }: PublishItem): PublishOutcome =>
      eventId === 'event-2' ? { status: 'rejected', reason: 'too large' } : OK;
    const { publish } = setUp({ default: new ScriptedDestination(answer) });
    const events = [1, 2, 3].map((id) => pendingEvent(id));
    await expect(publish(events)).resolves.toEqual(['ok', 'rejected: too large', 'ok']);
  });

  it('waits no longer than the time-out, aborts the broker, and does not hold up other destinations', async () => {
    const stuck = new ScriptedDestination(undefined, () => new Promise(() => undefined));
    const { publish, clock } = setUp({ default: stuck, audit: new ScriptedDestination() });
    const outcomes = publish([pendingEvent(1), pendingEvent(2, { destination: 'audit' })]);
    await clock.advance(999);
    expect(stuck.signal?.aborted).toBe(false);
    await clock.advance(1);
    expect(stuck.signal?.aborted).toBe(true);
    await clock.advance(499);
    await expect(isPending(outcomes)).resolves.toBe(true);
    await clock.advance(1);
    await expect(outcomes).resolves.toEqual(['retryable: no answer within 1000 ms', 'ok']);
    expect(clock.waiting).toEqual([]);
  });

  it('removes what a broker took before the time-out: it has half a second to tell', async () => {
    const answer = new Deferred<PublishOutcomes>();
    const { publish, clock } = setUp({ default: new ScriptedDestination(undefined, () => answer.promise) });
    const outcomes = publish([pendingEvent(1), pendingEvent(2), pendingEvent(3)]);
    await clock.advance(1_499);
    answer.resolve([OK, LATER, undefined]);
    await expect(outcomes).resolves.toEqual(['ok', 'retryable: the broker is busy', 'left']);
  });

  it('keeps every event when the broker rejects after the time-out, with its own reason', async () => {
    const answer = new Deferred<readonly PublishOutcome[]>();
    const { publish, clock } = setUp({ default: new ScriptedDestination(undefined, () => answer.promise) });
    const outcomes = publish([pendingEvent(1)]);
    await clock.advance(1_100);
    answer.reject(new Error('aborted'));
    await expect(outcomes).resolves.toEqual(['retryable: aborted']);
  });

  it('aborts the broker when the lease ends before the time-out', async () => {
    const stuck = new ScriptedDestination(undefined, () => new Promise(() => undefined));
    const { publish, clock } = setUp({ default: stuck });
    const outcomes = publish([pendingEvent(1)], 300);
    await clock.advance(299);
    expect(stuck.signal?.aborted).toBe(false);
    await clock.advance(1);
    expect(stuck.signal?.aborted).toBe(true);
    await clock.advance(500);
    await expect(outcomes).resolves.toEqual(['retryable: no answer within 300 ms']);
  });

  it('blames neither events nor destination for what a lease that was nearly over has cut short', async () => {
    const stuck = new ScriptedDestination(undefined, () => new Promise(() => undefined));
    const busy = new ScriptedDestination(
      undefined,
      (_items, signal) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted')))),
    );
    const half = new ScriptedDestination(
      undefined,
      (_items, signal) =>
        new Promise((resolve) => signal.addEventListener('abort', () => resolve([OK, LATER]))),
    );
    const { publish, clock } = setUp({ default: stuck, busy, half });
    const events = ['default', 'default', 'busy', 'half', 'half'].map((destination, n) =>
      pendingEvent(n, { destination }),
    );
    const outcomes = publish(events, 40, 500);
    await clock.advance(44);
    await expect(outcomes).resolves.toEqual(['left', 'left', 'left', 'ok', 'left']);
    const single = publish([pendingEvent(9)], 40, 500);
    await clock.advance(44);
    await expect(single).resolves.toEqual(['left']);
  });

  it('leaves no timer behind and does not abort a broker that has answered', async () => {
    const main = new ScriptedDestination();
    const { publish, clock } = setUp({ default: main });
    await publish([pendingEvent(1)]);
    expect(clock.waiting).toEqual([]);
    await settled();
    expect(main.signal?.aborted).toBe(false);
  });

  it.each<[string, (batch: readonly PublishItem[]) => unknown, string]>([
    ['rejects', () => Promise.reject(new Error('no connection')), 'retryable: no connection'],
    [
      'throws at once',
      () => {
        throw new TypeError('broken');
      },
      'retryable: broken',
    ],
    ['answers too little', () => Promise.resolve([]), 'retryable: the broker gave no outcome for this event'],
    [
      'answers nothing at all',
      () => Promise.resolve(undefined),
      'retryable: the broker gave no outcome for this event',
    ],
  ])(
    'keeps every event for later when its broker %s, and publishes the others',
    async (_how, whole, outcome) => {
      const { publish } = setUp({
        default: new ScriptedDestination(undefined, whole),
        audit: new ScriptedDestination(),
      });
      const others = { key: 'another' };
      const events = [pendingEvent(1), pendingEvent(2, { destination: 'audit' }), pendingEvent(3, others)];
      await expect(publish(events)).resolves.toEqual([outcome, 'ok', outcome]);
    },
  );

  it('uses up no attempt of a batch whose connection broke: it is sent once more', async () => {
    let broken = true;
    const main = new ScriptedDestination(undefined, async (batch) => {
      if (broken) {
        broken = false;
        throw new Error('connection reset');
      }
      return batch.map(() => OK);
    });
    const { publish } = setUp({ default: main });
    const events = [1, 2, 3, 4, 5].map((id) => pendingEvent(id));
    await expect(publish(events)).resolves.toEqual(events.map(() => 'ok'));
  });

  it('finds the one event at which the connection breaks, and lets none of its key overtake it', async () => {
    const sent: string[] = [];
    const main = new ScriptedDestination(undefined, async (batch) => {
      const at = batch.findIndex(({ type }) => type === 'killer');
      sent.push(...batch.slice(0, at === -1 ? undefined : at).map(({ eventId }) => eventId));
      if (at === 0) throw new Error('connection reset');
      return batch.map((_, n) => (at === -1 || n < at ? OK : undefined));
    });
    const { publish } = setUp({ default: main });
    const events = Array.from({ length: 40 }, (_, n) =>
      pendingEvent(n, { key: `key ${n % 4}`, ...(n === 9 && { type: 'killer' }) }),
    );
    const outcomes = await publish(events);
    const expected = events.map((_, n) =>
      n === 9 ? 'retryable: connection reset' : n > 9 && n % 4 === 1 ? 'left' : 'ok',
    );
    expect(outcomes).toEqual(expected);
    const once = events.map(({ eventId }) => eventId).filter((_, n) => expected[n] === 'ok');
    expect(sent).toEqual(once);
  });

  it('blames no event for a destination that goes down in the middle of a batch', async () => {
    const main = new ScriptedDestination(undefined, async (batch) => {
      if (main.down) throw new Error('no connection');
      main.down = true;
      return batch.map((_, n) => (n < 2 ? OK : undefined));
    });
    const { publish } = setUp({ default: main });
    const events = [1, 2, 3, 4, 5].map((id) => pendingEvent(id));
    await expect(publish(events)).resolves.toEqual(['ok', 'ok', 'left', 'left', 'left']);
    await expect(publish(events.slice(2))).resolves.toEqual(Array(3).fill('down: no connection'));
  });

  it('keeps the events of a destination that this process does not know', async () => {
    const { publish } = setUp({ default: new ScriptedDestination() });
    await expect(publish([pendingEvent(1, { destination: 'archive' })])).resolves.toEqual([
      'down: no broker is named "archive" in this process',
    ]);
  });

  it('blames the destination and not the events when it takes nothing and does not answer a ping either', async () => {
    const main = new ScriptedDestination();
    main.down = true;
    const { publish } = setUp({ default: main });
    const events = [pendingEvent(1), pendingEvent(2)];
    await expect(publish(events)).resolves.toEqual(events.map(() => 'down: no connection'));
  });

  it('blames the destination when it is silent over several events, and a single one when it is that', async () => {
    const stuck = new ScriptedDestination(undefined, () => new Promise(() => undefined));
    const { publish, clock } = setUp({ default: stuck });
    const several = publish([pendingEvent(1), pendingEvent(2)]);
    await clock.advance(1_500);
    await expect(several).resolves.toEqual([
      'down: no answer within 1000 ms',
      'down: no answer within 1000 ms',
    ]);
    const single = publish([pendingEvent(1)]);
    await clock.advance(1_500);
    await expect(single).resolves.toEqual(['retryable: no answer within 1000 ms']);
  });

  it('takes a ping that does not end for no answer', async () => {
    const main = new ScriptedDestination(() => LATER);
    main.ping = () => new Promise(() => undefined);
    const { publish, clock } = setUp({ default: main });
    const outcomes = publish([pendingEvent(1)]);
    await clock.advance(2_000);
    await expect(outcomes).resolves.toEqual([
      'down: the broker is busy (no answer to a ping within 2000 ms)',
    ]);
  });

  it('does nothing with nothing', async () => {
    const main = new ScriptedDestination();
    await expect(setUp({ default: main }).publish([])).resolves.toEqual([]);
    expect(main.batches).toEqual([]);
  });
});

describe('InMemoryBroker', () => {
  const item = (type: string, key = 'k'): PublishItem => ({
    eventId: type,
    type,
    key,
    payload: '{}',
    headers: {},
  });
  const open = () => new AbortController().signal;

  it('hands every event to every subscriber, one after the other', async () => {
    const broker = new InMemoryBroker();
    const seen: string[] = [];
    const gate = new Deferred<void>();
    broker.subscribe(async ({ type }) => {
      seen.push(`begin ${type}`);
      if (type === 'a') await gate.promise;
      seen.push(`end ${type}`);
    });
    broker.subscribe(async ({ type }) => void seen.push(`other ${type}`));
    const outcomes = broker.publish([item('a'), item('b')], open());
    await settled();
    expect(seen).toEqual(['begin a']);
    gate.resolve();
    await expect(outcomes).resolves.toEqual([OK, OK]);
    expect(seen).toEqual(['begin a', 'end a', 'other a', 'begin b', 'end b', 'other b']);
  });

  it('keeps events until there is a subscriber, and after the last one has gone', async () => {
    const broker = new InMemoryBroker();
    const none = { status: 'retryable', reason: 'no subscriber yet' };
    await expect(broker.publish([item('a')], open())).resolves.toEqual([none]);
    const end = broker.subscribe(() => Promise.resolve());
    await expect(broker.publish([item('a')], open())).resolves.toEqual([OK]);
    end();
    await expect(broker.publish([item('a')], open())).resolves.toEqual([none]);
    broker.subscribe(() => Promise.resolve());
    await broker.close();
    await expect(broker.publish([item('a')], open())).resolves.toEqual([none]);
  });

  it('holds later events of a key back behind one whose handler failed, and not those of other keys', async () => {
    const broker = new InMemoryBroker();
    const seen: string[] = [];
    broker.subscribe(async ({ type }) => {
      if (type === 'b') throw new Error('no stock');
      seen.push(type);
    });
    const outcomes = await broker.publish([item('a'), item('b'), item('c'), item('d', 'other')], open());
    expect(outcomes).toEqual([
      OK,
      { status: 'retryable', reason: 'a handler failed: no stock' },
      { status: 'retryable', reason: 'an earlier event of its key was not delivered' },
      OK,
    ]);
    expect(seen).toEqual(['a', 'd']);
  });

  it('begins no further event after the publish time-out', async () => {
    const broker = new InMemoryBroker();
    const stop = new AbortController();
    broker.subscribe(async () => stop.abort());
    await expect(broker.publish([item('a'), item('b', 'other')], stop.signal)).resolves.toEqual([
      OK,
      undefined,
    ]);
  });

  it('delivers events of other shards while the handler of one is slow', async () => {
    const broker = new InMemoryBroker();
    const stop = new AbortController();
    const delivered: string[] = [];
    broker.subscribe(async ({ key }) => {
      if (key === 'slow') return new Promise<void>(() => undefined);
      delivered.push(key);
      if (delivered.length === 2) stop.abort();
    });
    const keys = ['slow', 'b', 'c'];
    expect(new Set(keys.map(shardOf)).size).toBe(3);
    const outcomes = await broker.publish(
      keys.map((key) => item(key, key)),
      stop.signal,
    );
    expect(outcomes.map((outcome) => outcome?.status)).toEqual(['retryable', 'ok', 'ok']);
  });

  it('tells at the publish time-out what it delivered before a handler that is still busy', async () => {
    const broker = new InMemoryBroker();
    const stop = new AbortController();
    broker.subscribe(({ key }) => (key === 'slow' ? new Promise(() => stop.abort()) : Promise.resolve()));
    const batch = [item('a', 'quick'), item('b', 'slow'), item('c', 'late')];
    await expect(broker.publish(batch, stop.signal)).resolves.toEqual([
      OK,
      { status: 'retryable', reason: 'its handler took too long' },
      undefined,
    ]);
  });

  it('counts as down until there is a subscriber', async () => {
    const broker = new InMemoryBroker();
    await broker.connect();
    await expect(broker.ping()).rejects.toThrow('no subscriber yet');
    broker.subscribe(() => Promise.resolve());
    await expect(broker.ping()).resolves.toBeUndefined();
    expect(broker.kind).toBe('memory');
  });
});

/** A relay over memory storage, whose lease and time a test decides. */
interface RelayOptions {
  readonly onPoison?: 'skip' | 'park-key';
  readonly strict?: boolean;
  readonly suspects?: SuspectStorage;
  /** Somebody else relays, too. */
  readonly hasCompany?: boolean;
}

function relay(destination: Destination, batchSize = 100, more: RelayOptions = {}) {
  const clock = new FakeClock();
  const log = new MemoryLog();
  const database = new MemoryDatabase();
  const storage = new MemoryOutboxStorage(database, clock);
  const identity = {
    ...{ id: 'one', alive: true, remaining: 10_000 },
    remainingMs: () => (identity.alive ? identity.remaining : 0),
  };
  database.workers.set('one', { ...LIVING, heartbeatAt: 0 });
  const telemetry = new Telemetry('one', clock, log);
  const policy = {
    maxAttempts: 5,
    initialInterval: 100,
    multiplier: 2,
    maxInterval: 1_000,
    jitter: 'none',
  } as const;
  const trouble = new MemoryRetryStorage(database, clock);
  const onDuty: boolean[] = [];
  const duty = {
    leave: () => Promise.resolve(more.hasCompany === true && onDuty.push(false) > 0),
    resume: () => Promise.resolve(void onDuty.push(true)),
  };
  const { onPoison = 'skip', strict = false } = more;
  const retries = new OutboxRetries({
    ...{ storage: trouble, policy, clock, telemetry, identity, onPoison, strict },
  });
  const suspicions = new Suspicions({
    ...{ identity, batchSize, storage: more.suspects ?? new MemorySuspectStorage() },
    bury: (events, reason) => retries.bury(events.map((event) => ({ event, reason }))),
  });
  const worker = new OutboxWorker({
    ...{ identity, storage, clock, log, batchSize, telemetry, retries, suspicions, strict },
    standby: new Standby({ duty, clock, log }),
    publisher: new Publisher(new Map([['default', destination]]), 1_000, clock),
    ...{ leaseMs: 10_000, pollIntervalMs: 25, maxPollIntervalMs: 1_000 },
  });
  const rules = { route: () => ['default'], destinations: new Set(['default']), maxBytes: 1_000 };
  const write = (...events: readonly OutboxEventInput[]) => {
    for (const event of events) {
      const made = makeEvent(event, rules);
      if ('fault' in made) throw new Error(made.fault.reason);
      database.addEvents(made.records, clock.monotonic());
    }
  };
  const waiting = () => [...database.retries.values()].map(({ event }) => event.type);
  const left = () => [...[...database.events.values()].map(({ type }) => type), ...waiting()];
  const dead = () => trouble.deadLetters({}, 100);
  return { clock, log, database, storage, trouble, identity, worker, write, left, waiting, dead, onDuty };
}

/** Keys of three different shards. */
const [NORTH, SOUTH, EAST] = ['a', 'foobar', 'order-1'] as const;

describe('OutboxWorker', () => {
  it('publishes what is pending and removes it', async () => {
    const destination = new ScriptedDestination();
    const { worker, write, left } = relay(destination);
    expect(new Set([NORTH, SOUTH, EAST].map(shardOf)).size).toBe(3);
    write({ type: '1', key: NORTH }, { type: '2', key: SOUTH }, { type: '3', key: NORTH });
    worker.start();
    await settled();
    expect(destination.items.map(({ type }) => type).sort()).toEqual(['1', '2', '3']);
    expect(left()).toEqual([]);
    await worker.stop();
  });

  it('looks again at once when it is woken', async () => {
    const destination = new ScriptedDestination();
    const { worker, write, left, clock } = relay(destination);
    worker.start();
    await clock.advance(10_000);
    write({ type: 'later', key: NORTH });
    worker.wake();
    await settled();
    expect(left()).toEqual([]);
    await worker.stop();
  });

  it('publishes each event once, however many batches it takes, in order per key', async () => {
    const destination = new ScriptedDestination();
    const { worker, write, left } = relay(destination, 4);
    const keys = [NORTH, SOUTH, EAST];
    const events = Array.from({ length: 60 }, (_, n) => ({ type: `${n}`, key: keys[n % 3] }));
    write(...events);
    worker.start();
    await settled();
    expect(left()).toEqual([]);
    expect(destination.items).toHaveLength(60);
    for (const key of keys) {
      const types = destination.items.filter((it) => it.key === key).map(({ type }) => Number(type));
      expect(types).toEqual([...types].sort((a, b) => a - b));
    }
    await worker.stop();
  });

  it('keeps a failed event and tries it again after a rest that grows', async () => {
    const at: number[] = [];
    const destination = new ScriptedDestination(() => {
      at.push(clock.monotonic());
      return at.length < 4 ? LATER : OK;
    });
    const { worker, write, left, clock, log } = relay(destination);
    write({ type: 'room.booked', key: NORTH });
    worker.start();
    await settled();
    expect(left()).toEqual(['room.booked']);
    await clock.advance(4_000);
    expect(left()).toEqual([]);
    const rests = at.slice(1).map((time, index) => time - (at[index] ?? 0));
    expect(rests).toHaveLength(3);
    for (const [index, rest] of rests.entries()) expect(rest).toBeGreaterThanOrEqual(100 * 2 ** index);
    expect(log.lines).toEqual([]);
    await worker.stop();
  });

  it('makes a dead letter of an event after its last attempt, with an alarm, and its key goes on', async () => {
    const destination = new ScriptedDestination(({ type }) => (type === 'poison' ? LATER : OK));
    const { worker, write, left, waiting, dead, clock, log } = relay(destination);
    write({ type: 'poison', key: NORTH }, { type: 'after', key: NORTH }, { type: 'other', key: SOUTH });
    worker.start();
    await settled();
    write({ type: 'later', key: NORTH });
    await clock.advance(100);
    expect(waiting()).toEqual(['poison', 'later']);
    await clock.advance(10_000);
    expect(left()).toEqual([]);
    expect(await dead()).toMatchObject([
      { type: 'poison', key: NORTH, attempts: 5, reason: 'exhausted: the broker is busy' },
    ]);
    expect(destination.items.map(({ type }) => type).filter((type) => type !== 'poison')).toEqual([
      'after',
      'other',
      'later',
    ]);
    expect(log.lines.filter((line) => line.includes('alarm'))).toEqual([
      expect.stringContaining('alarm outbox.dead-lettered'),
    ]);
    write({ type: 'free', key: NORTH });
    await clock.advance(1_000);
    expect([left(), waiting()]).toEqual([[], []]);
    await worker.stop();
  });

  it('takes no more events of a shard when ten thousand wait behind one, says so, and goes on when they are gone', async () => {
    let busy = true;
    const destination = new ScriptedDestination(({ key }) => (key === NORTH && busy ? LATER : OK));
    const { worker, write, left, waiting, clock, log, database } = relay(destination, 5_000);
    write(...Array.from({ length: 12_000 }, (_, n) => ({ type: `${n}`, key: NORTH })));
    write({ type: 'other', key: SOUTH });
    worker.start();
    for (let n = 0; n < 20 && waiting().length <= 10_000; n++) await clock.advance(25);
    expect(waiting().length).toBeGreaterThan(10_000);
    // What was read ahead still moves there.
    await clock.advance(300);
    const kept = database.events.size;
    write({ type: 'more', key: NORTH });
    await clock.advance(200);
    expect(database.events.size).toBe(kept + 1);
    expect(log.lines.filter((line) => line.includes('shard-paused'))).toHaveLength(1);
    busy = false;
    await clock.advance(60_000);
    expect(left()).toEqual([]);
    await worker.stop();
  });

  function fill({ database }: Pick<ReturnType<typeof relay>, 'database'>) {
    const place = { shard: shardOf(NORTH), key: NORTH };
    for (let n = 0; n <= 10_000; n++) {
      const event = pendingEvent(n, { ...place, type: 'waiting' });
      const nextAt = n === 0 ? 0 : undefined;
      database.addRetry({ event, attempts: 1, reason: 'busy', blocks: true, nextAt, parkedAt: undefined });
    }
  }

  it('says once that a shard takes no more events, also when it was full before this process had it', async () => {
    const destination = new ScriptedDestination(() => LATER);
    const { worker, clock, log, database } = relay(destination, 5_000);
    fill({ database });
    for (const row of database.retries.values()) if (row.nextAt === 0) row.nextAt = 3_600_000;
    worker.start();
    await clock.advance(30_000);
    expect(log.lines.filter((line) => line.includes('shard-paused'))).toHaveLength(1);
    await worker.stop();
  });

  it('a shard under suspicion that takes no more events stops neither itself nor the others', async () => {
    const suspects = new MemorySuspectStorage();
    suspects.suspects = () => Promise.resolve([{ shard: shardOf(NORTH), level: 2 }]);
    const parts = relay(new ScriptedDestination(), 5_000, { suspects });
    fill(parts);
    parts.write({ type: 'new', key: NORTH }, { type: 'other', key: SOUTH });
    parts.worker.start();
    await parts.clock.advance(5_000);
    expect(parts.left()).toHaveLength(0);
    await parts.worker.stop();
  });

  it('an event that may have killed its publisher does not overtake an earlier one of its key', async () => {
    const suspects = new MemorySuspectStorage();
    suspects.suspects = () => Promise.resolve([{ shard: shardOf(NORTH), level: 1 }]);
    const destination = new ScriptedDestination();
    const { worker, database, trouble, left, clock } = relay(destination, 100, { suspects });
    const due = trouble.due.bind(trouble);
    trouble.due = async (request) =>
      (await due(request)).map((event) => ({ ...event, flights: event.type === 'second' ? 2 : 0 }));
    for (const [n, type] of ['first', 'second'].entries()) {
      const event = pendingEvent(n, { shard: shardOf(NORTH), key: NORTH, type });
      const nextAt = n === 0 ? 0 : undefined;
      database.addRetry({ event, attempts: 1, reason: 'busy', blocks: true, nextAt, parkedAt: undefined });
    }
    worker.start();
    await clock.advance(2_000);
    expect([destination.batches, left()]).toEqual([[['first'], ['second']], []]);
    await worker.stop();
  });

  it('makes a dead letter at once of what its destination will never take', async () => {
    const destination = new ScriptedDestination(({ type }) =>
      type === 'huge' ? { status: 'rejected', reason: 'too large' } : OK,
    );
    const { worker, write, left, dead } = relay(destination);
    write({ type: 'huge', key: NORTH }, { type: 'fine', key: NORTH });
    worker.start();
    await settled();
    expect(left()).toEqual([]);
    expect(await dead()).toMatchObject([{ type: 'huge', attempts: 1, reason: 'rejected: too large' }]);
    await worker.stop();
  });

  it('burns no attempt and loses nothing while its destination is down, says so once, and catches up', async () => {
    const told: string[] = [];
    const stops = (['outbox.circuit-opened', 'outbox.circuit-closed'] as const).map((name) =>
      SagazTelemetry.subscribe(name, () => void told.push(name)),
    );
    const destination = new ScriptedDestination();
    destination.down = true;
    const { worker, write, left, waiting, dead, clock } = relay(destination);
    write(...Array.from({ length: 50 }, (_, n) => ({ type: `${n}`, key: NORTH })));
    worker.start();
    await clock.advance(60_000);
    expect([left().length, waiting(), await dead()]).toEqual([50, [], []]);
    destination.down = false;
    await clock.advance(7_000);
    expect(left()).toEqual([]);
    const sent = destination.items.slice(-50).map(({ type }) => Number(type));
    expect(sent).toEqual([...sent].sort((a, b) => a - b));
    expect(told).toEqual(['outbox.circuit-opened', 'outbox.circuit-closed']);
    for (const stop of stops) stop();
    await worker.stop();
  });

  it('lets no event overtake those that wait for a destination whose pause ends while it is being read', async () => {
    const destination = new ScriptedDestination();
    destination.down = true;
    const { worker, write, left, clock, storage } = relay(destination);
    const gates: Deferred<void>[] = [];
    const open = storage.openReader.bind(storage);
    storage.openReader = async (): Promise<OutboxReader> => {
      const reader = await open();
      const read = async (request: ReadRequest) => {
        const found = await reader.read(request);
        await gates.at(-1)?.promise;
        return found;
      };
      return { read, close: () => reader.close() };
    };
    write({ type: 'first', key: NORTH });
    worker.start();
    await settled();
    gates.push(new Deferred<void>());
    write({ type: 'second', key: NORTH });
    worker.wake();
    await settled();
    destination.down = false;
    const { length: before } = destination.items;
    await clock.advance(1_000);
    gates.at(-1)?.resolve();
    await clock.advance(2_000);
    expect(destination.items.slice(before).map(({ type }) => type)).toEqual(['first', 'second']);
    expect(left()).toEqual([]);
    await worker.stop();
  });

  it('delivers requeued dead letters under their ids', async () => {
    let poison = true;
    const destination = new ScriptedDestination(() => (poison ? { status: 'rejected', reason: 'no' } : OK));
    const { worker, write, trouble, dead, clock } = relay(destination);
    write({ type: 'a', key: NORTH }, { type: 'b', key: SOUTH });
    worker.start();
    await settled();
    const letters = await dead();
    expect(letters).toHaveLength(2);
    poison = false;
    expect(await trouble.requeue({ type: 'a' }, auditOf('requeue', '', {}))).toBe(1);
    await clock.advance(2_000);
    expect(await dead()).toMatchObject([{ type: 'b' }]);
    expect(destination.items.at(-1)?.eventId).toBe(letters.find(({ type }) => type === 'a')?.eventId);
    await worker.stop();
  });

  it('parks the key of an event that gives up until an operator has decided, and lets others go on', async () => {
    let poison = true;
    const destination = new ScriptedDestination(({ type }) =>
      type === 'poison' && poison ? { status: 'rejected', reason: 'no' } : OK,
    );
    const { worker, write, waiting, trouble, dead, clock, log } = relay(destination, 100, {
      onPoison: 'park-key',
    });
    write({ type: 'poison', key: NORTH });
    worker.start();
    await settled();
    write({ type: 'after', key: NORTH }, { type: 'other', key: SOUTH });
    await clock.advance(60_000);
    expect(waiting()).toEqual(['poison', 'after']);
    expect(await dead()).toMatchObject([{ type: 'poison', parked: true, reason: 'rejected: no' }]);
    expect(log.lines.filter((line) => line.includes('dead-lettered'))).toHaveLength(1);
    poison = false;
    expect(await trouble.requeue({ type: 'poison' }, auditOf('requeue', '', {}))).toBe(1);
    await clock.advance(2_000);
    expect([waiting(), await dead()]).toEqual([[], []]);
    expect(destination.items.map(({ type }) => type)).toEqual(['poison', 'other', 'poison', 'after']);
    write({ type: 'free', key: NORTH });
    await clock.advance(2_000);
    expect(destination.items.at(-1)?.type).toBe('free');
    await worker.stop();
  });

  it('parks no second event of a key: what an operator decides of one does not release another', async () => {
    let answer: PublishOutcome = LATER;
    const destination = new ScriptedDestination(() => answer);
    const { worker, write, left, trouble, dead, clock } = relay(destination, 100, { onPoison: 'park-key' });
    write({ type: 'a', key: NORTH }, { type: 'b', key: NORTH });
    worker.start();
    await settled();
    answer = { status: 'rejected', reason: 'no' };
    await clock.advance(5_000);
    expect(await dead()).toMatchObject([{ type: 'a', parked: true, attempts: 2 }]);
    answer = OK;
    expect(await trouble.requeue({ type: 'a' }, auditOf('requeue', '', {}))).toBe(1);
    await clock.advance(2_000);
    expect(left()).toEqual([]);
    expect(destination.items.slice(-2).map(({ type }) => type)).toEqual(['a', 'b']);
    await worker.stop();
  });

  it('an event of a parked key that was discarded a moment before is not stuck', async () => {
    let poison = true;
    const destination = new ScriptedDestination(() => (poison ? { status: 'rejected', reason: 'no' } : OK));
    const { worker, write, left, trouble, clock } = relay(destination, 100, { onPoison: 'park-key' });
    write({ type: 'poison', key: NORTH });
    worker.start();
    await settled();
    poison = false;
    expect(await trouble.discard({ type: 'poison' }, auditOf('discard', '', {}))).toBe(1);
    write({ type: 'after', key: NORTH });
    await clock.advance(5_000);
    expect([left(), destination.items.at(-1)?.type]).toEqual([[], 'after']);
    await worker.stop();
  });

  it('a key whose waiting event somebody else has removed is not stuck, though nothing is parked', async () => {
    const destination = new ScriptedDestination(({ type }) => (type === 'gone' ? LATER : OK));
    const { worker, write, left, waiting, database, clock } = relay(destination);
    write({ type: 'gone', key: NORTH });
    worker.start();
    await settled();
    expect(waiting()).toEqual(['gone']);
    database.retries.clear();
    write({ type: 'after', key: NORTH });
    await clock.advance(2_000);
    expect(waiting()).toEqual(['after']);
    await clock.advance(9_500);
    expect([left(), destination.items.at(-1)?.type]).toEqual([[], 'after']);
    await worker.stop();
  });

  it('lets a parked key go on whose event was discarded somewhere else', async () => {
    const destination = new ScriptedDestination(({ type }) => (type === 'poison' ? LATER : OK));
    const { worker, write, left, trouble, dead, clock } = relay(destination, 100, { onPoison: 'park-key' });
    write({ type: 'poison', key: NORTH });
    worker.start();
    await clock.advance(60_000);
    expect(await dead()).toMatchObject([{ attempts: 5, reason: 'exhausted: the broker is busy' }]);
    expect(await trouble.discard({ type: 'poison' }, auditOf('discard', '', {}))).toBe(1);
    await clock.advance(2_000);
    write({ type: 'after', key: NORTH });
    await clock.advance(2_000);
    expect([left(), destination.items.at(-1)?.type]).toEqual([[], 'after']);
    await worker.stop();
  });

  describe('in strict order', () => {
    it('never has two events of a key on their way, and takes as many keys at once as there are', async () => {
      const destination = new ScriptedDestination();
      const { worker, write, left } = relay(destination, 100, { strict: true });
      const keys = [NORTH, SOUTH, EAST];
      write(...Array.from({ length: 30 }, (_, n) => ({ type: `${n}`, key: keys[n % 3] })));
      worker.start();
      await settled();
      expect(left()).toEqual([]);
      expect(destination.batches).toHaveLength(10);
      for (const batch of destination.batches) expect(new Set(batch.map((n) => Number(n) % 3)).size).toBe(3);
      await worker.stop();
    });

    it('holds a key back behind an event that a careless broker refused, and not the others', async () => {
      let refusals = 1;
      const destination = new ScriptedDestination(({ type }) =>
        type === '0' && refusals-- > 0 ? LATER : OK,
      );
      const { worker, write, left, clock } = relay(destination, 100, { strict: true });
      write(...Array.from({ length: 6 }, (_, n) => ({ type: `${n}`, key: n % 2 === 0 ? NORTH : SOUTH })));
      worker.start();
      await clock.advance(2_000);
      expect(left()).toEqual([]);
      const of = (key: string) => destination.items.filter((it) => it.key === key).map(({ type }) => type);
      expect([of(NORTH), of(SOUTH)]).toEqual([
        ['0', '0', '2', '4'],
        ['1', '3', '5'],
      ]);
      await worker.stop();
    });

    it('lets no event overtake one whose outcome is not known, when its destination goes down between two', async () => {
      const destination = new ScriptedDestination(({ type }) => {
        if (type !== '1') return OK;
        destination.down = true;
        return LATER;
      });
      const { worker, write, left, clock } = relay(destination, 100, { strict: true });
      write(...Array.from({ length: 4 }, (_, n) => ({ type: `${n}`, key: NORTH })));
      worker.start();
      await clock.advance(5_000);
      expect(left()).toEqual(['1', '2', '3']);
      expect(destination.batches.flat().filter((type) => type > '1')).toEqual([]);
      await worker.stop();
    });
  });

  describe('that reaches no destination for ten seconds', () => {
    function setUp(hasCompany: boolean) {
      const destination = new ScriptedDestination();
      destination.down = true;
      const parts = relay(destination, 100, { hasCompany });
      parts.write({ type: 'a', key: NORTH });
      parts.worker.start();
      const owns = () => parts.database.shardOwners.filter((owner) => owner === 'one').length;
      return { ...parts, destination, owns };
    }

    it('leaves its share to others for half a minute, and comes back', async () => {
      const { clock, owns, onDuty, destination, left, log, worker } = setUp(true);
      await clock.advance(9_000);
      expect([owns(), onDuty]).toEqual([16, []]);
      await clock.advance(7_000);
      expect([owns(), onDuty]).toEqual([0, [false]]);
      expect(log.lines.filter((line) => line.includes('others relay'))).toHaveLength(1);
      const tries = destination.batches.length;
      await clock.advance(20_000);
      expect(destination.batches).toHaveLength(tries);
      destination.down = false;
      await clock.advance(15_000);
      expect([owns(), onDuty, left()]).toEqual([16, [false, true], []]);
      await worker.stop();
    });

    it('stays after that when others have published its events, and its circuit ends', async () => {
      const closed: string[] = [];
      const stop = SagazTelemetry.subscribe('outbox.circuit-closed', ({ destination }) => {
        closed.push(destination);
      });
      const { clock, owns, onDuty, database, log, worker } = setUp(true);
      await clock.advance(16_000);
      expect([onDuty, closed]).toEqual([[false], []]);
      database.events.clear();
      await clock.advance(60_000);
      expect([owns(), onDuty, closed]).toEqual([16, [false, true], ['default']]);
      expect(log.lines.filter((line) => line.includes('others relay'))).toHaveLength(1);
      stop();
      await worker.stop();
    });

    it('stays when nobody else relays', async () => {
      const { clock, owns, onDuty, destination, left, worker } = setUp(false);
      await clock.advance(60_000);
      expect([owns(), onDuty]).toEqual([16, []]);
      destination.down = false;
      await clock.advance(7_000);
      expect(left()).toEqual([]);
      await worker.stop();
    });
  });

  it('goes on with other shards while one rests', async () => {
    const destination = new ScriptedDestination(({ key }) => (key === NORTH ? LATER : OK));
    const { worker, write, left, clock } = relay(destination);
    write({ type: 'stuck', key: NORTH }, { type: 'fine', key: SOUTH });
    worker.start();
    await settled();
    expect(left()).toEqual(['stuck']);
    write({ type: 'fine too', key: SOUTH });
    await clock.advance(100);
    expect(left()).toEqual(['stuck']);
    await worker.stop();
  });

  it('keeps the order of a key when a handler of the in-memory broker fails', async () => {
    const broker = new InMemoryBroker();
    const seen: string[] = [];
    let failures = 2;
    broker.subscribe(async ({ type }) => {
      if (type === 'b' && failures-- > 0) throw new Error('no stock');
      seen.push(type);
    });
    const { worker, write, left, clock } = relay(broker);
    write(
      { type: 'a', key: NORTH },
      { type: 'b', key: NORTH },
      { type: 'c', key: NORTH },
      { type: 'd', key: SOUTH },
    );
    worker.start();
    await settled();
    expect(left()).toEqual(['b', 'c']);
    write({ type: 'e', key: NORTH });
    await clock.advance(5_000);
    expect(left()).toEqual([]);
    expect(seen.filter((type) => type !== 'd')).toEqual(['a', 'b', 'c', 'e']);
    await worker.stop();
  });

  it('keeps the events of a broker that does not answer, and finishes its round before it stops', async () => {
    const destination = new ScriptedDestination(undefined, () => new Promise(() => undefined));
    const { worker, write, left, clock, storage } = relay(destination);
    write({ type: 'room.booked', key: NORTH });
    worker.start();
    await settled();
    const stopped = worker.stop();
    await clock.until(stopped);
    expect(clock.monotonic()).toBe(1_500);
    expect(left()).toEqual(['room.booked']);
    await expect(storage.leaseShards('one')).resolves.toHaveLength(SHARD_COUNT);
  });

  it('reads half as much each time nothing of a batch is taken, and more again once something was', async () => {
    let slow = 3;
    const destination = new ScriptedDestination(undefined, (batch) =>
      slow-- > 0 ? new Promise(() => undefined) : Promise.resolve(batch.map(() => OK)),
    );
    const { worker, write, left, clock, database } = relay(destination, 8);
    // Another worker that never dies has every other shard: the batch is that of one.
    database.workers.set('two', { ...LIVING, heartbeatAt: Infinity });
    database.shardOwners.fill('two');
    database.shardOwners[shardOf(NORTH)] = undefined;
    write(...Array.from({ length: 20 }, (_, n) => ({ type: `${n}`, key: NORTH })));
    worker.start();
    await clock.advance(20_000);
    expect(destination.batches.map(({ length }) => length)).toEqual([8, 4, 2, 1, 1, 2, 4, 8, 4]);
    expect(left()).toEqual([]);
    await worker.stop();
  });

  it('gives the broker no longer than its lease still holds', async () => {
    const destination = new ScriptedDestination(undefined, () => new Promise(() => undefined));
    const { worker, write, clock, identity } = relay(destination);
    identity.remaining = 300;
    write({ type: 'room.booked', key: NORTH });
    worker.start();
    await clock.advance(300);
    expect(destination.signal?.aborted).toBe(true);
    await clock.until(worker.stop());
  });

  it('a busy process whose lease was nearly over each time does not call its broker down, nor its events guilty', async () => {
    let silent = true;
    const destination = new ScriptedDestination(undefined, (batch) =>
      silent ? new Promise(() => undefined) : batch.map(() => OK),
    );
    const { worker, write, left, waiting, clock, identity, log } = relay(destination);
    identity.remaining = 40;
    write({ type: 'room.booked', key: NORTH }, { type: 'room.cancelled', key: NORTH });
    worker.start();
    await clock.advance(20_000);
    expect(destination.batches.length).toBeGreaterThan(10);
    expect([left(), waiting(), log.lines]).toEqual([['room.booked', 'room.cancelled'], [], []]);
    [silent, identity.remaining] = [false, 10_000];
    // No pause of a circuit is to be waited for: only the next look.
    await clock.advance(1_100);
    expect(left()).toEqual([]);
    await worker.stop();
  });

  it('publishes nothing while its lease does not hold', async () => {
    const destination = new ScriptedDestination();
    const { worker, write, left, clock, identity, log } = relay(destination);
    identity.alive = false;
    write({ type: 'room.booked', key: NORTH });
    worker.start();
    await clock.advance(5_000);
    expect(destination.batches).toEqual([]);
    expect(log.lines).toEqual([
      'warn relaying events failed, trying again: the lease of this worker has run out',
    ]);
    identity.alive = true;
    await clock.advance(1_000);
    expect(left()).toEqual([]);
    await worker.stop();
  });

  describe('whose lease runs out while it reads', () => {
    function setUp() {
      const destination = new ScriptedDestination();
      const parts = relay(destination);
      const open = parts.storage.openReader.bind(parts.storage);
      parts.storage.openReader = async (): Promise<OutboxReader> => {
        const reader = await open();
        const read = async (request: ReadRequest) => {
          const found = await reader.read(request);
          if (found.events.length > 0 && destination.batches.length === 0 && reads++ === 0)
            parts.identity.alive = false;
          return found;
        };
        return { read, close: () => reader.close() };
      };
      let reads = 0;
      parts.write({ type: 'room.booked', key: NORTH });
      return { ...parts, destination };
    }

    it('publishes nothing of what it read', async () => {
      const { worker, destination, left, clock } = setUp();
      worker.start();
      await clock.advance(5_000);
      expect(destination.batches).toEqual([]);
      expect(left()).toEqual(['room.booked']);
      await worker.stop();
    });

    it('publishes it when the next heartbeat gives the lease back before the next round', async () => {
      const { worker, destination, left, clock, identity } = setUp();
      worker.start();
      await settled();
      expect(identity.alive).toBe(false);
      identity.alive = true;
      await clock.advance(10_000);
      expect(destination.batches).toEqual([['room.booked']]);
      expect(left()).toEqual([]);
      await worker.stop();
    });
  });

  it('reads and knows nothing of its shards any more when it comes back under another name', async () => {
    const destination = new ScriptedDestination();
    const { worker, write, left, clock, identity, database, trouble } = relay(destination);
    write({ type: 'first', key: NORTH });
    worker.start();
    await settled();
    // Declared dead, another one had its shards, and moved an event of the key to the side table.
    identity.id = 'one.1';
    database.workers.set('one.1', { ...LIVING, heartbeatAt: clock.monotonic() });
    database.workers.delete('one');
    write({ type: 'stuck', key: NORTH });
    const [event] = [...database.events.values()];
    if (!event) throw new Error('it was written');
    await trouble.divert('other', [{ event, failure: { attempts: 1, reason: 'busy', nextInMs: 5_000 } }]);
    // Long enough for it to lease its shards under the new name.
    await clock.advance(2_000);
    write({ type: 'later', key: NORTH });
    await clock.advance(2_000);
    expect(left()).toEqual(['stuck', 'later']);
    await clock.advance(5_000);
    expect(destination.items.map(({ type }) => type)).toEqual(['first', 'stuck', 'later']);
    await worker.stop();
  });

  it('opens a new reader after a fault and reads everything that is pending again', async () => {
    const destination = new ScriptedDestination();
    const { worker, write, left, clock, storage, log } = relay(destination);
    const requests: ReadRequest[] = [];
    let opened = 0;
    let closed = 0;
    const open = storage.openReader.bind(storage);
    storage.openReader = async (): Promise<OutboxReader> => {
      const reader = await open();
      opened++;
      const read = (request: ReadRequest) => {
        requests.push(request);
        return requests.length === 2 ? Promise.reject(new Error('connection cut')) : reader.read(request);
      };
      return { read, close: async () => void closed++ };
    };
    write({ type: 'first', key: NORTH });
    worker.start();
    await settled();
    write({ type: 'second', key: NORTH });
    await clock.advance(2_000);
    expect(left()).toEqual([]);
    expect([opened, closed]).toEqual([2, 1]);
    expect(requests[2]?.previous).toBeUndefined();
    expect(requests[2]?.positions.get(shardOf(NORTH))).toBe(0n);
    expect(log.lines).toEqual(['warn relaying events failed, trying again: connection cut']);
    await worker.stop();
    expect(closed).toBe(2);
  });

  it('shares the shards with another living worker, and takes over those of a dead one', async () => {
    const { worker, clock, database, storage } = relay(new ScriptedDestination());
    const owners = () =>
      [...new Set(database.shardOwners)].map((id) => [
        id,
        database.shardOwners.filter((it) => it === id).length,
      ]);
    worker.start();
    await settled();
    expect(owners()).toEqual([['one', SHARD_COUNT]]);
    database.workers.set('two', { ...LIVING, heartbeatAt: clock.monotonic() });
    await clock.advance(3_000);
    await storage.leaseShards('two');
    expect(owners()).toEqual([
      ['one', SHARD_COUNT / 2],
      ['two', SHARD_COUNT / 2],
    ]);
    database.workers.set('one', { ...LIVING, heartbeatAt: 20_000 });
    await clock.advance(17_000);
    expect(owners()).toEqual([['one', SHARD_COUNT]]);
    await worker.stop();
    expect(owners()).toEqual([[undefined, SHARD_COUNT]]);
  });

  it('asks for no events of a shard that is not its own', async () => {
    const destination = new ScriptedDestination();
    const { worker, write, left, database, clock } = relay(destination);
    database.workers.set('two', { ...LIVING, heartbeatAt: 0 });
    database.shardOwners[shardOf(NORTH)] = 'two';
    write({ type: 'theirs', key: NORTH }, { type: 'ours', key: 'customer:4711' });
    worker.start();
    await clock.advance(2_000);
    expect(left()).toEqual(['theirs']);
    await worker.stop();
  });
});

describe('Outbox', () => {
  interface Written {
    readonly tx: string;
    readonly types: string[];
  }

  function setUp(ambient?: string, resolveManager?: () => string | undefined) {
    const written: Written[] = [];
    const storage = {
      insert: async (tx: string, events: readonly { type: string }[]) =>
        void written.push({ tx, types: events.map(({ type }) => type) }),
      transaction: <T>(work: (tx: string) => Promise<T>) => work('opened'),
      currentTransaction: () => ambient,
    };
    const rules = {
      route: () => ['default', 'audit'],
      destinations: new Set(['default', 'audit']),
      maxBytes: 100,
    };
    const outbox = new Outbox<string>({ storage: storage as never, rules, resolveManager });
    return { outbox, written };
  }

  it('writes into the transaction that is given, before any other it could find', async () => {
    const { outbox, written } = setUp('ambient', () => 'resolved');
    const ids = await outbox.publish('given', [{ type: 'a', destination: 'audit' }, { type: 'b' }]);
    expect(ids).toHaveLength(2);
    expect(written).toEqual([{ tx: 'given', types: ['a', 'b', 'b'] }]);
  });

  it('else into the one around the call, else into what resolveManager finds', async () => {
    const inside = setUp('ambient', () => 'resolved');
    await inside.outbox.publish({ type: 'a', destination: 'audit' });
    expect(inside.written).toEqual([{ tx: 'ambient', types: ['a'] }]);
    const outside = setUp(undefined, () => 'resolved');
    await outside.outbox.publish([{ type: 'a', destination: 'audit' }]);
    expect(outside.written).toEqual([{ tx: 'resolved', types: ['a'] }]);
  });

  it('refuses an event without a transaction, and a manager that is not there', async () => {
    const { outbox, written } = setUp(undefined, () => undefined);
    await expect(outbox.publish({ type: 'a' })).rejects.toBeInstanceOf(TransactionRequiredError);
    const { outbox: inside } = setUp('ambient');
    await expect(inside.publish(undefined as never, { type: 'a' })).rejects.toBeInstanceOf(
      TransactionRequiredError,
    );
    expect(written).toEqual([]);
  });

  it('writes none of several events when one of them is wrong', async () => {
    const { outbox, written } = setUp();
    await expect(outbox.publish('tx', [{ type: 'a' }, { type: 'b', payload: NaN }])).rejects.toThrow(
      new SagaInputError('event "b": payload: NaN is no JSON number'),
    );
    await expect(outbox.publish('tx', { type: 'a', destination: 'archive' })).rejects.toBeInstanceOf(
      UnknownDestinationError,
    );
    expect(written).toEqual([]);
  });

  it('is refused by memory storage, which has no transaction that an event could join', async () => {
    const storage = new MemoryOutboxStorage(new MemoryDatabase(), new FakeClock());
    await expect(storage.insert()).rejects.toBeInstanceOf(TransactionRequiredError);
    await expect(storage.transaction()).rejects.toBeInstanceOf(TransactionRequiredError);
  });
});
