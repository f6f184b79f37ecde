import type * as promClient from 'prom-client';
import type { Counter, Gauge, Histogram, Metric as ClientMetric, Registry } from 'prom-client';
import { SagazTelemetry, type SagazEventName } from '../../runtime/telemetry.js';
import { SagazOptionsError } from '../../saga/state/errors.js';
import type { Observed } from '../observed.js';
import type { Labels, Metric, Sample } from './metric.js';
import { METRICS } from './metrics-table.js';

/** prom-client, which is loaded when it is needed. */
export type Client = Pick<typeof promClient, 'Counter' | 'Gauge' | 'Histogram' | 'register'>;

export interface ExporterSettings {
  readonly client: Client;
  readonly register: Registry;
  /** On every series. */
  readonly labels: Labels;
}

type Add = (sample: Sample) => void;

/** Registers every metric and keeps them up to date from the events of one application. */
export class PrometheusExporter {
  private readonly subscriptions: (() => void)[] = [];
  private readonly registered: ClientMetric[] = [];
  private readonly hasOwn: boolean;

  constructor(
    private readonly settings: ExporterSettings,
    private readonly application: Observed,
  ) {
    this.hasOwn = Object.keys(settings.labels).length > 0;
  }

  /** @throws SagazOptionsError when another application has these metrics in the registry, or a label is in use */
  start(): void {
    const { register, labels } = this.settings;
    const taken = METRICS.find(({ name }) => register.getSingleMetric(name));
    if (taken)
      throw new SagazOptionsError([
        `register: it holds ${taken.name} already; give each application of a process a registry of its own`,
      ]);
    const own = new Set(METRICS.flatMap((metric) => metric.labels));
    const clash = Object.keys(labels).find((name) => own.has(name) || !/^[a-zA-Z_]\w*$/.test(name));
    if (clash !== undefined)
      throw new SagazOptionsError([
        `labels.${clash}: expected a name of letters, digits and _ that is none of ${[...own].join(', ')}`,
      ]);
    for (const metric of METRICS) this.feed(metric, this.make(metric));
  }

  stop(): void {
    const { register } = this.settings;
    for (const end of this.subscriptions.splice(0)) end();
    for (const metric of this.registered.splice(0)) {
      const { name } = metric as unknown as { name: string };
      if (register.getSingleMetric(name) === metric) register.removeSingleMetric(name);
    }
  }

  private make(metric: Metric): Add {
    const { client, register } = this.settings;
    const { name, help, type } = metric;
    const labelNames = [...Object.keys(this.settings.labels), ...metric.labels];
    const common = { name, help, labelNames, registers: [register] };
    if (type === 'histogram') {
      const made = new client.Histogram({ ...common, buckets: [...(metric.buckets ?? [])] });
      return this.keep(made, (sample) => this.observe(made, sample));
    }
    if (type === 'counter') {
      const made = new client.Counter(common);
      return this.keep(made, (sample) => this.count(made, sample));
    }
    const { read } = metric;
    const made: Gauge = new client.Gauge({
      ...common,
      ...(read && { collect: () => this.show(made, read) }),
    });
    return this.keep(made, (sample) => this.set(made, sample));
  }

  private keep(made: ClientMetric, add: Add): Add {
    this.registered.push(made);
    return add;
  }

  private feed(metric: Metric, add: Add): void {
    for (const { event, sample } of metric.sources) this.listen(event, (it) => add(sample(it)));
  }

  private listen(name: SagazEventName, listener: (event: never) => void): void {
    const { workerId } = this.application;
    const end = SagazTelemetry.subscribe(name, (event) => {
      if (event.workerId === workerId) listener(event as never);
    });
    this.subscriptions.push(end);
  }

  private show(gauge: Gauge, read: (application: Observed) => readonly Sample[]): void {
    gauge.reset();
    for (const sample of read(this.application)) this.set(gauge, sample);
  }

  private count(counter: Counter, { labels, value }: Sample): void {
    counter.inc(this.with(labels), Number(value));
  }

  private set(gauge: Gauge, { labels, value }: Sample): void {
    gauge.set(this.with(labels), Number(value));
  }

  private observe(histogram: Histogram, { labels, value }: Sample): void {
    const all = this.with(labels);
    if (typeof value === 'number') histogram.observe(all, value);
    else for (const one of value) histogram.observe(all, one);
  }

  private with(labels: Labels): Labels {
    return this.hasOwn ? { ...this.settings.labels, ...labels } : labels;
  }
}
