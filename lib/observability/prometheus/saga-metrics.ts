import { clusterReading, counter, histogram, on, reading, seconds, type Metric } from './metric.js';

/** From five milliseconds to a minute. */
const STEP_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
/** To an hour. */
const SAGA_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600];
const FLUSH_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];
const ENTRY_BUCKETS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

const ENDS = ['completed', 'compensated', 'failed', 'parked'] as const;
const ATTEMPTS = ['step.completed', 'step.failed', 'step.retrying'] as const;

export const SAGA_METRICS: readonly Metric[] = [
  counter(
    { name: 'sagaz_sagas_started_total', help: 'Sagas started.', labels: ['saga'] },
    on('saga.started', ({ saga }) => ({ labels: { saga }, value: 1 })),
  ),
  counter(
    { name: 'sagaz_sagas_ended_total', help: 'Sagas that ended, by how.', labels: ['saga', 'status'] },
    ...ENDS.map((status) => on(`saga.${status}`, ({ saga }) => ({ labels: { saga, status }, value: 1 }))),
  ),
  histogram(
    {
      name: 'sagaz_saga_duration_seconds',
      help: 'From the start of a saga to its end, waits included.',
      labels: ['saga', 'status'],
      buckets: SAGA_BUCKETS,
    },
    ...ENDS.map((status) =>
      on(`saga.${status}`, ({ saga, durationMs }) => ({
        labels: { saga, status },
        value: seconds(durationMs),
      })),
    ),
  ),
  counter(
    {
      name: 'sagaz_sagas_overdue_total',
      help: 'Sagas whose time ran out after their pivot, so that they can only go on.',
      labels: ['saga'],
    },
    on('saga.overdue', ({ saga }) => ({ labels: { saga }, value: 1 })),
  ),
  reading(
    { name: 'sagaz_sagas_running', help: 'Sagas that run in this process.', labels: ['saga'] },
    ({ running }) => [...running].map(([saga, value]) => ({ labels: { saga }, value })),
  ),
  clusterReading(
    {
      name: 'sagaz_sagas_by_status',
      help: 'Sagas of the cluster that wait, turn back, or are stuck; 100000 is at least.',
      labels: ['status'],
    },
    ({ sagaNumbers = {} }) =>
      Object.entries(sagaNumbers).map(([status, value]) => ({ labels: { status }, value })),
  ),
  clusterReading(
    {
      name: 'sagaz_sagas_without_worker',
      help: 'Sagas of a version that no living worker can run.',
      labels: ['saga', 'version'],
    },
    ({ stranded = [] }) =>
      stranded.map(({ name, version, count }) => ({
        labels: { saga: name, version: String(version) },
        value: count,
      })),
  ),
  histogram(
    {
      name: 'sagaz_step_duration_seconds',
      help: 'Of one attempt of a step, by what is known of its effect.',
      labels: ['saga', 'step', 'outcome'],
      buckets: STEP_BUCKETS,
    },
    ...ATTEMPTS.map((name) =>
      on(name, ({ saga, step, outcome, durationMs }) => ({
        labels: { saga, step, outcome },
        value: seconds(durationMs),
      })),
    ),
  ),
  counter(
    {
      name: 'sagaz_step_retries_total',
      help: 'Attempts of steps that failed and were followed by another one.',
      labels: ['saga', 'step'],
    },
    on('step.retrying', ({ saga, step }) => ({ labels: { saga, step }, value: 1 })),
  ),
  counter(
    {
      name: 'sagaz_compensations_total',
      help: 'Undos: compensated, failed for good, or repeated for a late result of their step.',
      labels: ['saga', 'step', 'result'],
    },
    on('undo.completed', ({ saga, step }) => ({ labels: { saga, step, result: 'compensated' }, value: 1 })),
    on('undo.failed', ({ saga, step }) => ({ labels: { saga, step, result: 'failed' }, value: 1 })),
    on('undo.repeated', ({ saga, step }) => ({ labels: { saga, step, result: 'late' }, value: 1 })),
  ),
  counter(
    { name: 'sagaz_takeovers_total', help: 'Sagas that this process took over from dead workers.' },
    on('worker.takeover', ({ sagas }) => ({ labels: {}, value: sagas })),
  ),
  counter(
    {
      name: 'sagaz_fenced_writes_total',
      help: 'Sagas that this process let go of because a write was refused, or would have been: another owns them.',
    },
    on('saga.fenced', () => ({ labels: {}, value: 1 })),
  ),
  histogram(
    {
      name: 'sagaz_journal_flush_duration_seconds',
      help: 'Of one write of the journal.',
      buckets: FLUSH_BUCKETS,
    },
    on('journal.flushed', ({ durationMs }) => ({ labels: {}, value: seconds(durationMs) })),
  ),
  histogram(
    {
      name: 'sagaz_journal_flush_entries',
      help: 'Entries and new sagas in one write of the journal.',
      buckets: ENTRY_BUCKETS,
    },
    on('journal.flushed', ({ entries }) => ({ labels: {}, value: entries })),
  ),
];
