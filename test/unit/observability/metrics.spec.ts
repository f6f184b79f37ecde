import { readFile } from 'node:fs/promises';
import * as client from 'prom-client';
import { boundedReason } from '../../../lib/observability/prometheus/bounded-reason.js';
import { METRICS } from '../../../lib/observability/prometheus/metrics-table.js';
import { PrometheusExporter } from '../../../lib/observability/prometheus/prometheus-exporter.js';
import { Telemetry, type EventFields, type SagazEventName } from '../../../lib/runtime/telemetry.js';
import { FakeApplication } from '../../support/fake-application.js';
import { FakeClock } from '../../support/fake-clock.js';
import { MemoryLog } from '../../support/memory-log.js';

const NUMBERS = {
  pending: new Map([['default', 3]]),
  oldestAgeMs: new Map([['default', 1_500]]),
  lag: new Map([[4, 3]]),
  retrying: new Map<string, number>(),
  dead: new Map<string, number>(),
};

const SAGA = { sagaId: 's', saga: 'trip', version: 1, correlationId: 's', traceId: undefined };
const END = { ...SAGA, durationMs: 5, code: 'X' };
const STUCK = { ...END, standing: ['hotel'] };
const ATTEMPT = { step: 'a', attempt: 1, durationMs: 20, outcome: 'completed', code: undefined } as const;
const MESSAGE = { consumer: 'mail', messageId: 'm' };

/** One of each event that a metric is made from. */
const EVENTS: { readonly [N in SagazEventName]?: EventFields<N> } = {
  'saga.started': SAGA,
  'saga.completed': END,
  'saga.compensated': END,
  'saga.failed': STUCK,
  'saga.parked': STUCK,
  'saga.overdue': STUCK,
  'saga.fenced': { ...SAGA, message: 'claimed by two' },
  'step.completed': { ...SAGA, ...ATTEMPT },
  'step.failed': { ...SAGA, ...ATTEMPT },
  'step.retrying': { ...SAGA, ...ATTEMPT },
  'undo.completed': { ...SAGA, ...ATTEMPT },
  'undo.failed': { ...SAGA, ...ATTEMPT },
  'undo.repeated': { ...SAGA, ...ATTEMPT },
  'worker.takeover': { sagas: 2 },
  'outbox.published': { destination: 'default', count: 1, durationMs: 5, deliveryMs: [10] },
  'outbox.retrying': { destination: 'default', count: 1, reason: 'exhausted' },
  'outbox.dead-lettered': { eventId: 'e', type: 'paid', destination: 'default', reason: 'exhausted' },
  'outbox.circuit-opened': { destination: 'default', reason: 'no connection' },
  'outbox.circuit-closed': { destination: 'default' },
  'outbox.shards-changed': { shards: [1, 2] },
  'outbox.shard-paused': { shard: 1 },
  'inbox.processed': MESSAGE,
  'inbox.duplicate': MESSAGE,
  'inbox.failed': { ...MESSAGE, message: 'no paper' },
  'inbox.expired': MESSAGE,
  'journal.flushed': { entries: 3, bytes: 100, durationMs: 2 },
};

describe('the exporter', () => {
  const own = new Telemetry('one', new FakeClock(), new MemoryLog());
  const other = new Telemetry('two', new FakeClock(), new MemoryLog());
  let register: client.Registry;
  let application: FakeApplication;
  let exporter: PrometheusExporter;

  beforeEach(() => {
    register = new client.Registry();
    application = new FakeApplication('one');
    application.running = new Map([['trip', 2]]);
    exporter = new PrometheusExporter({ client, register, labels: { service: 'shop' } }, application);
    exporter.start();
  });
  afterEach(() => exporter.stop());

  /** The lines of one metric, without its comments. */
  async function lines(name: string): Promise<string[]> {
    const text = await register.metrics();
    return text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  }

  it('counts what its own application tells, and nothing of another one', async () => {
    own.emit('saga.started', () => SAGA);
    own.emit('saga.started', () => SAGA);
    other.emit('saga.started', () => SAGA);
    expect(await lines('sagaz_sagas_started_total')).toEqual([
      'sagaz_sagas_started_total{service="shop",saga="trip"} 2',
    ]);
  });

  it('measures in seconds', async () => {
    own.emit('step.completed', () => ({ ...SAGA, ...ATTEMPT }));
    expect(await lines('sagaz_step_duration_seconds_sum')).toEqual([
      'sagaz_step_duration_seconds_sum{service="shop",saga="trip",step="a",outcome="completed"} 0.02',
    ]);
  });

  it('measures the delivery of every event of a batch', async () => {
    const batch = { destination: 'default', count: 2, durationMs: 5, deliveryMs: [10, 30] };
    own.emit('outbox.published', () => batch);
    expect(await lines('sagaz_outbox_published_total')).toEqual([
      'sagaz_outbox_published_total{service="shop",destination="default"} 2',
    ]);
    expect(await lines('sagaz_outbox_delivery_duration_seconds_count')).toEqual([
      'sagaz_outbox_delivery_duration_seconds_count{service="shop",destination="default"} 2',
    ]);
    expect(await lines('sagaz_outbox_delivery_duration_seconds_sum')).toEqual([
      'sagaz_outbox_delivery_duration_seconds_sum{service="shop",destination="default"} 0.04',
    ]);
  });

  it('has no label for an error text', async () => {
    for (const reason of [
      'connect ECONNREFUSED 10.0.0.1',
      'connect ECONNREFUSED 10.0.0.2',
      'rejected: too_large',
    ])
      own.emit('outbox.retrying', () => ({ destination: 'default', count: 1, reason }));
    expect(await lines('sagaz_outbox_failures_total')).toEqual([
      'sagaz_outbox_failures_total{service="shop",destination="default",reason="other"} 2',
      'sagaz_outbox_failures_total{service="shop",destination="default",reason="too_large"} 1',
    ]);
    expect(boundedReason('exhausted: whatever')).toBe('exhausted');
  });

  it('(pitfall 23) exports what is counted for the cluster only where it is counted, with zeros', async () => {
    expect(await lines('sagaz_outbox_pending_events')).toEqual([]);
    application.outboxNumbers = NUMBERS;
    application.sagaNumbers = { waiting: 1, compensating: 0, failed: 0, parked: 2 };
    expect(await lines('sagaz_outbox_pending_events')).toEqual([
      'sagaz_outbox_pending_events{service="shop",destination="default"} 3',
      'sagaz_outbox_pending_events{service="shop",destination="audit"} 0',
    ]);
    expect(await lines('sagaz_sagas_by_status')).toContain(
      'sagaz_sagas_by_status{service="shop",status="parked"} 2',
    );
    application.outboxNumbers = undefined;
    expect(await lines('sagaz_outbox_pending_events')).toEqual([]);
  });

  it('shows what runs now', async () => {
    expect(await lines('sagaz_sagas_running')).toEqual(['sagaz_sagas_running{service="shop",saga="trip"} 2']);
    application.running = new Map();
    expect(await lines('sagaz_sagas_running')).toEqual([]);
  });

  it('takes its metrics away at the end, and only its own', async () => {
    new client.Counter({ name: 'orders_total', help: 'Of the application.', registers: [register] });
    exporter.stop();
    expect(register.getMetricsAsArray().map(({ name }) => name)).toEqual(['orders_total']);
    own.emit('saga.started', () => SAGA);
    expect(await register.metrics()).not.toContain('sagaz_');
  });

  it('refuses a registry that has them, and a label that they have', () => {
    const again = new PrometheusExporter({ client, register, labels: {} }, application);
    expect(() => again.start()).toThrow(/register: it holds sagaz_sagas_started_total already/);
    for (const label of ['saga', 'my-label']) {
      const settings = { client, register: new client.Registry(), labels: { [label]: 'x' } };
      const wrong = new PrometheusExporter(settings, application);
      expect(() => wrong.start()).toThrow(`labels.${label}: expected a name`);
    }
  });
});

describe('the reference of metrics', () => {
  it('holds every metric, and no other', async () => {
    const page = await readFile('docs/reference/metrics.md', 'utf8');
    const rows = [...page.matchAll(/^\| `(sagaz_\w+)` *\| (\w+) *\| ([^|]*?) *\| ([^|]*?) *\| (.*?) *\|$/gm)];
    const listed = rows.map(([, name, type, labels, by, help]) => ({
      ...{ name, type, by, help },
      labels: labels?.match(/\w+/g) ?? [],
    }));
    const known = METRICS.map(({ name, type, labels, leader, help }) => ({
      ...{ name, type, labels, help },
      by: leader ? 'one of the cluster' : 'each process',
    }));
    expect(listed).toEqual(known);
  });

  it('names events that feed each metric, where it is not read', () => {
    const bare = METRICS.filter(({ sources, read }) => sources.length === 0 && !read);
    expect(bare).toEqual([]);
  });

  // Every event is shown to be emitted by a run of all tests: test/support/events-reporter.mjs.
  it.each(METRICS.map((metric) => [metric.name, metric] as const))(
    'has a sample of %s from each event and number that it is made from, with all of its labels',
    (_name, { sources, read, labels }) => {
      const application = new FakeApplication('one');
      application.running = new Map([['trip', 2]]);
      application.outboxNumbers = NUMBERS;
      application.sagaNumbers = { waiting: 1, compensating: 0, failed: 0, parked: 2 };
      application.stranded = [{ name: 'trip', version: 1, hash: '', count: 4, since: new Date() }];
      const made = sources.map(({ event, sample }) => sample(EVENTS[event] as never));
      const shown = read?.(application) ?? [];
      if (read) expect(shown).not.toEqual([]);
      for (const sample of [...made, ...shown]) expect(Object.keys(sample.labels)).toEqual(labels);
    },
  );
});
