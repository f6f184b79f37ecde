import type { SagazEventName, SagazEvents } from '../../runtime/telemetry.js';
import type { Observed } from '../observed.js';

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels: Labels;
  /** Several values of a histogram at once. */
  readonly value: number | readonly number[];
}

/** An event that a metric is made from. */
export interface Source {
  readonly event: SagazEventName;
  readonly sample: (event: never) => Sample;
}

/** One row of the table of metrics. */
export interface Metric {
  readonly name: `sagaz_${string}`;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** One process of a cluster exports it, for all. */
  readonly leader: boolean;
  /** Upper bounds, of a histogram. */
  readonly buckets?: readonly number[];
  /** Events that change it. */
  readonly sources: readonly Source[];
  /** What a gauge shows, read when it is asked for; without it, its sources set it. */
  readonly read?: (application: Observed) => readonly Sample[];
}

type Common = Pick<Metric, 'name' | 'help'> & { readonly labels?: readonly string[] };

export function counter(metric: Common, ...sources: readonly Source[]): Metric {
  return { labels: [], ...metric, type: 'counter', leader: false, sources };
}

export function histogram(metric: Common & { buckets: readonly number[] }, ...sources: Source[]): Metric {
  return { labels: [], ...metric, type: 'histogram', leader: false, sources };
}

/** A gauge that events set. */
export function state(metric: Common, ...sources: readonly Source[]): Metric {
  return { labels: [], ...metric, type: 'gauge', leader: false, sources };
}

/** A gauge of this process that is read when it is asked for. */
export function reading(metric: Common, read: (application: Observed) => readonly Sample[]): Metric {
  return { labels: [], ...metric, type: 'gauge', leader: false, sources: [], read };
}

/** The same of the whole cluster: without a sample in every process but one. */
export function clusterReading(metric: Common, read: (application: Observed) => readonly Sample[]): Metric {
  return { ...reading(metric, read), leader: true };
}

/** One sample for each event. */
export function on<N extends SagazEventName>(event: N, sample: (event: SagazEvents[N]) => Sample): Source {
  return { event, sample };
}

export function seconds(ms: number): number {
  return ms / 1_000;
}
