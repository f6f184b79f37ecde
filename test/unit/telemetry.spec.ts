import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readFile } from 'node:fs/promises';
import {
  ALARMS,
  EVENT_NAMES,
  SagazTelemetry,
  Telemetry,
  type EventFields,
  type SagazEventName,
  type SagazEvents,
} from '../../lib/runtime/telemetry.js';
import { FakeClock } from '../support/fake-clock.js';
import { MemoryLog } from '../support/memory-log.js';

const SAGA = { sagaId: true, saga: true, version: true, correlationId: true, traceId: true } as const;
const END = { ...SAGA, durationMs: true, code: true } as const;
const PLACE = { sagaId: true, saga: true, step: true, attempt: true } as const;
const STEP = { ...PLACE, correlationId: true, traceId: true } as const;
const ATTEMPT = { ...STEP, durationMs: true, outcome: true, code: true } as const;

/** Names every field of every event, or it does not compile. */
const FIELDS: { readonly [N in SagazEventName]: Record<keyof EventFields<N>, true> } = {
  'saga.started': SAGA,
  'saga.resumed': SAGA,
  'saga.waiting': SAGA,
  'saga.completed': END,
  'saga.compensating': SAGA,
  'saga.compensated': END,
  'saga.failed': { ...END, standing: true },
  'saga.parked': { ...END, standing: true },
  'saga.overdue': { ...SAGA, code: true, standing: true },
  'saga.fenced': { ...SAGA, message: true },
  'saga.stranded': { saga: true, version: true, sagas: true, since: true, message: true },
  'step.started': STEP,
  'step.completed': ATTEMPT,
  'step.failed': ATTEMPT,
  'step.retrying': ATTEMPT,
  'undo.completed': ATTEMPT,
  'undo.retrying': ATTEMPT,
  'undo.failed': ATTEMPT,
  'undo.repeated': ATTEMPT,
  'signal.received': { sagaId: true, saga: true, signal: true, duplicate: true },
  'worker.started': { runsSagas: true, relays: true },
  'worker.draining': { sagas: true },
  'worker.stopped': { sagas: true },
  'worker.dead': { dead: true },
  'worker.takeover': { sagas: true },
  'worker.fenced': { sagas: true, message: true },
  'outbox.published': { destination: true, count: true, durationMs: true, deliveryMs: true },
  'outbox.retrying': { destination: true, count: true, reason: true },
  'outbox.dead-lettered': { eventId: true, type: true, destination: true, reason: true },
  'outbox.circuit-opened': { destination: true, reason: true },
  'outbox.circuit-closed': { destination: true },
  'outbox.written': { destination: true, count: true },
  'outbox.shards-changed': { shards: true },
  'outbox.shard-paused': { shard: true },
  'inbox.processed': { consumer: true, messageId: true },
  'inbox.duplicate': { consumer: true, messageId: true },
  'inbox.failed': { consumer: true, messageId: true, message: true },
  'inbox.expired': { consumer: true, messageId: true },
  'journal.flushed': { entries: true, bytes: true, durationMs: true },
};

const started = { sagaId: 's1', saga: 'trip', version: 1, correlationId: 'c1', traceId: undefined };
const failed = { ...started, durationMs: 5, code: 'SAGAZ_COMPENSATION_FAILED', standing: ['hotel'] };

const clock = new FakeClock();
let log: MemoryLog;
let telemetry: Telemetry;
const subscriptions: (() => void)[] = [];
const hear: typeof SagazTelemetry.subscribe = (...args) => {
  const stop = SagazTelemetry.subscribe(...args);
  subscriptions.push(stop);
  return stop;
};

beforeEach(() => {
  log = new MemoryLog();
  telemetry = new Telemetry('worker-1', clock, log);
});
afterEach(() => {
  for (const stop of subscriptions.splice(0)) stop();
});

it('is what the reference says, both ways', async () => {
  const page = await readFile('docs/reference/telemetry.md', 'utf8');
  const rows = [...page.matchAll(/^\| `([\w-]+\.[\w-]+)` *\| (alarm|) *\| ([^|]*?) *\|/gm)];
  const listed = rows.map(([, name, alarm, fields]) => [name, alarm, fields?.match(/\w+/g)]);
  const known = EVENT_NAMES.map((name) => [
    name,
    ALARMS.includes(name) ? 'alarm' : '',
    Object.keys(FIELDS[name]),
  ]);
  expect(listed).toEqual(known);
});

describe('Telemetry', () => {
  it('tells a listener what happened, when and in which worker', () => {
    const seen: SagazEvents['saga.started'][] = [];
    hear('saga.started', (event) => seen.push(event));
    telemetry.emit('saga.started', () => started);
    expect(seen).toEqual([{ ...started, at: new Date(clock.now()), workerId: 'worker-1' }]);
    expect(log.lines).toEqual([]);
  });

  it('speaks on a channel of node:diagnostics_channel that bears the name of the event', () => {
    const seen: unknown[] = [];
    const listener = (event: unknown) => void seen.push(event);
    subscribe('nestjs-sagaz:saga.started', listener);
    telemetry.emit('saga.started', () => started);
    unsubscribe('nestjs-sagaz:saga.started', listener);
    expect(seen).toMatchObject([started]);
  });

  it('makes nothing of an event that nobody listens to', () => {
    let made = 0;
    const fields = () => {
      made++;
      return started;
    };
    telemetry.emit('saga.started', fields);
    expect(made).toBe(0);
    const stop = hear('saga.started', () => undefined);
    telemetry.emit('saga.started', fields);
    stop();
    telemetry.emit('saga.started', fields);
    expect(made).toBe(1);
  });

  it('publishes nothing under a name that is no event', () => {
    const seen: unknown[] = [];
    const listener = (event: unknown) => void seen.push(event);
    subscribe('nestjs-sagaz:saga.begun', listener);
    telemetry.emit('saga.begun' as 'saga.started', () => started);
    unsubscribe('nestjs-sagaz:saga.begun', listener);
    expect([seen, log.lines]).toEqual([[], []]);
  });

  it('logs an alarm at error, with or without a listener', () => {
    telemetry.emit('saga.failed', () => failed);
    hear('saga.failed', () => undefined);
    telemetry.emit('saga.failed', () => failed);
    const line = `error alarm saga.failed ${JSON.stringify({ event: 'saga.failed', ...failed })}`;
    expect(log.lines).toEqual([line, line]);
  });

  it('never throws when the fields cannot be made', () => {
    const seen: unknown[] = [];
    hear('saga.started', (event) => seen.push(event));
    const broken = () => {
      throw new Error('no fields');
    };
    telemetry.emit('saga.started', broken);
    telemetry.emit('saga.parked', broken);
    expect(seen).toEqual([]);
    expect(log.lines).toEqual([
      'error telemetry event saga.started could not be made: no fields',
      'error telemetry event saga.parked could not be made: no fields',
    ]);
  });

  it('gives every listener an event that none of them can change', () => {
    const seen: string[] = [];
    const errors: unknown[] = [];
    const vandal = (event: { saga: string }) => {
      event.saga = 'other';
    };
    hear('saga.started', vandal, (error) => errors.push(error));
    hear('saga.started', ({ saga }) => seen.push(saga));
    telemetry.emit('saga.started', () => started);
    expect(seen).toEqual(['trip']);
  });
});

describe('SagazTelemetry.subscribe', () => {
  it('gives what a listener throws, now or later, to the caller and to nobody else', async () => {
    const errors: unknown[] = [];
    let rejected: (() => void) | undefined;
    const second = new Promise<void>((resolve) => (rejected = resolve));
    const onError = (error: unknown) => {
      errors.push(error);
      if (errors.length === 2) rejected?.();
    };
    const now = () => {
      throw new Error('now');
    };
    hear('saga.started', now, onError);
    hear('saga.started', () => Promise.reject(new Error('later')), onError);
    const seen: unknown[] = [];
    hear('saga.started', (event) => seen.push(event));
    telemetry.emit('saga.started', () => started);
    await second;
    expect(errors).toEqual([new Error('now'), new Error('later')]);
    expect(seen).toHaveLength(1);
  });

  it('makes a warning of the process of it without a place to report to, and of a report that fails', async () => {
    const fail = () => {
      throw new Error('no pager');
    };
    const emitWarning = process.emitWarning.bind(process);
    try {
      for (const report of [undefined, fail]) {
        const warned = new Promise((resolve) => {
          process.emitWarning = (...given: unknown[]) => resolve(given);
        });
        const stop = hear('saga.started', fail, report);
        telemetry.emit('saga.started', () => started);
        stop();
        expect(await warned).toEqual([
          'a listener to saga.started failed: no pager',
          'SagazTelemetryWarning',
        ]);
      }
    } finally {
      process.emitWarning = emitWarning;
    }
  });

  it('ends the subscription, once', () => {
    const stop = hear('saga.started', () => undefined);
    expect(channel('nestjs-sagaz:saga.started').hasSubscribers).toBe(true);
    stop();
    stop();
    expect(channel('nestjs-sagaz:saga.started').hasSubscribers).toBe(false);
  });

  it('refuses a name that is no event', () => {
    const name = 'saga.complete' as 'saga.completed';
    expect(() => SagazTelemetry.subscribe(name, () => undefined)).toThrow(
      new TypeError('there is no event "saga.complete"; did you mean "saga.completed"?'),
    );
  });
});
