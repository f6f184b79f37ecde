import type { OutboxNumbers } from '../../outbox/outbox-storage.js';
import type { Observed } from '../observed.js';
import { boundedReason } from './bounded-reason.js';
import {
  clusterReading,
  counter,
  histogram,
  on,
  seconds,
  state,
  type Metric,
  type Sample,
} from './metric.js';

const PUBLISH_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** To an hour: events wait for a broker that is down. */
const DELIVERY_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60, 300, 900, 3600];

const RESULTS = ['processed', 'duplicate', 'expired', 'failed'] as const;

export const EVENT_METRICS: readonly Metric[] = [
  clusterReading(
    {
      name: 'sagaz_outbox_pending_events',
      help: 'Events that wait to be published; 100000 is at least.',
      labels: ['destination'],
    },
    byDestination(({ pending }) => pending),
  ),
  clusterReading(
    {
      name: 'sagaz_outbox_oldest_pending_age_seconds',
      help: 'Of the oldest event that waits to be published.',
      labels: ['destination'],
    },
    byDestination(({ oldestAgeMs }) => new Map([...oldestAgeMs].map(([name, ms]) => [name, seconds(ms)]))),
  ),
  clusterReading(
    {
      name: 'sagaz_outbox_shard_lag_events',
      help: 'Events of a shard that wait to be published.',
      labels: ['shard'],
    },
    ({ outboxNumbers }) =>
      [...(outboxNumbers?.lag ?? [])].map(([shard, value]) => ({ labels: { shard: String(shard) }, value })),
  ),
  clusterReading(
    {
      name: 'sagaz_outbox_retry_events',
      help: 'Events that failed, wait behind one that failed, or are for later.',
      labels: ['destination'],
    },
    byDestination(({ retrying }) => retrying),
  ),
  clusterReading(
    {
      name: 'sagaz_outbox_dead_letter_events',
      help: 'Dead letters, those of parked keys with them.',
      labels: ['destination'],
    },
    byDestination(({ dead }) => dead),
  ),
  counter(
    { name: 'sagaz_outbox_published_total', help: 'Events that were published.', labels: ['destination'] },
    on('outbox.published', ({ destination, count }) => ({ labels: { destination }, value: count })),
  ),
  counter(
    {
      name: 'sagaz_outbox_failures_total',
      help: 'Events that a destination refused and that are tried again.',
      labels: ['destination', 'reason'],
    },
    on('outbox.retrying', ({ destination, count, reason }) => ({
      labels: { destination, reason: boundedReason(reason) },
      value: count,
    })),
  ),
  counter(
    {
      name: 'sagaz_outbox_dead_lettered_total',
      help: 'Events that became dead letters.',
      labels: ['destination', 'reason'],
    },
    on('outbox.dead-lettered', ({ destination, reason }) => ({
      labels: { destination, reason: boundedReason(reason) },
      value: 1,
    })),
  ),
  histogram(
    {
      name: 'sagaz_outbox_publish_duration_seconds',
      help: 'Of the publishing of one batch.',
      labels: ['destination'],
      buckets: PUBLISH_BUCKETS,
    },
    on('outbox.published', ({ destination, durationMs }) => ({
      labels: { destination },
      value: seconds(durationMs),
    })),
  ),
  histogram(
    {
      name: 'sagaz_outbox_delivery_duration_seconds',
      help: 'From the writing of an event to the confirmation of its destination.',
      labels: ['destination'],
      buckets: DELIVERY_BUCKETS,
    },
    on('outbox.published', ({ destination, deliveryMs }) => ({
      labels: { destination },
      value: deliveryMs.map(seconds),
    })),
  ),
  state(
    {
      name: 'sagaz_outbox_circuit_open',
      help: '1 while this process finds the destination down.',
      labels: ['destination'],
    },
    on('outbox.circuit-opened', ({ destination }) => ({ labels: { destination }, value: 1 })),
    on('outbox.circuit-closed', ({ destination }) => ({ labels: { destination }, value: 0 })),
  ),
  state(
    { name: 'sagaz_outbox_shards_owned', help: 'Shards whose events this process relays.' },
    on('outbox.shards-changed', ({ shards }) => ({ labels: {}, value: shards.length })),
  ),
  counter(
    {
      name: 'sagaz_outbox_shards_paused_total',
      help: 'Times that a shard took no more, for so many of its events wait behind others.',
    },
    on('outbox.shard-paused', () => ({ labels: {}, value: 1 })),
  ),
  counter(
    {
      name: 'sagaz_inbox_messages_total',
      help: 'Messages by what became of them.',
      labels: ['consumer', 'result'],
    },
    ...RESULTS.map((result) =>
      on(`inbox.${result}`, ({ consumer }) => ({ labels: { consumer, result }, value: 1 })),
    ),
  ),
];

/** Zero where there is nothing, so that a scaler sees it; nothing at all in the processes that do not count. */
function byDestination(numbers: (all: OutboxNumbers) => ReadonlyMap<string, number>) {
  return ({ outboxNumbers, destinations }: Observed): readonly Sample[] => {
    if (!outboxNumbers) return [];
    const counted = new Map([...destinations.map((name) => [name, 0] as const), ...numbers(outboxNumbers)]);
    return [...counted].map(([destination, value]) => ({ labels: { destination }, value }));
  };
}
