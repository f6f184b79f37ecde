import { ConsumerInbox } from '../../lib/inbox/consumer-inbox.js';
import { MemoryInboxStorage } from '../../lib/persistence/memory/memory-inbox-storage.js';
import { SagazTelemetry, Telemetry, type SagazEventName } from '../../lib/runtime/telemetry.js';
import { FakeClock } from '../support/fake-clock.js';
import { MemoryLog } from '../support/memory-log.js';

const WINDOW_MS = 7 * 86_400_000;

const clock = new FakeClock();
const heard: unknown[] = [];
let subscriptions: readonly (() => void)[] = [];

beforeEach(() => {
  heard.length = 0;
  const names = [
    'inbox.processed',
    'inbox.duplicate',
    'inbox.failed',
    'inbox.expired',
  ] satisfies SagazEventName[];
  subscriptions = names.map((name) =>
    SagazTelemetry.subscribe(name, ({ consumer, messageId, ...more }) =>
      heard.push([name, consumer, messageId, 'message' in more ? more.message : '']),
    ),
  );
});
afterEach(() => {
  for (const stop of subscriptions) stop();
});

it('tells what became of each message', async () => {
  const log = new MemoryLog();
  const inbox = new ConsumerInbox({
    storage: new MemoryInboxStorage(clock),
    windowMs: WINDOW_MS,
    onExpired: 'dead-letter',
    maxDeliveries: 3,
    telemetry: new Telemetry('one', clock, log),
  });
  const runs: string[] = [];
  const process = (id: string, ageMs = 0) =>
    inbox.process({ id, stamp: new Date(clock.now() - ageMs) }, 'billing', () =>
      id === 'torn' ? Promise.reject(new Error('no paper')) : Promise.resolve(runs.push(id)),
    );
  await process('new');
  await process('new');
  await expect(process('torn')).rejects.toThrow('no paper');
  await process('old', 2 * WINDOW_MS);
  expect(runs).toEqual(['new']);
  expect(heard).toEqual([
    ['inbox.processed', 'billing', 'new', ''],
    ['inbox.duplicate', 'billing', 'new', ''],
    ['inbox.failed', 'billing', 'torn', 'no paper'],
    ['inbox.expired', 'billing', 'old', ''],
  ]);
  expect(log.lines).toEqual([
    'error alarm inbox.expired {"event":"inbox.expired","consumer":"billing","messageId":"old"}',
  ]);
});
