import { EVENT_METRICS } from './event-metrics.js';
import type { Metric } from './metric.js';
import { SAGA_METRICS } from './saga-metrics.js';

/** Every metric: its name, its labels, and the events or numbers that it is made from. */
export const METRICS: readonly Metric[] = [...SAGA_METRICS, ...EVENT_METRICS];
