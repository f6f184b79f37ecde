import { Module, type DynamicModule } from '@nestjs/common';
import type { Registry } from 'prom-client';
import { loadPeer } from '../../brokers/load-peer.js';
import { observer } from '../observer.js';
import { PrometheusExporter } from './prometheus-exporter.js';

export interface SagazPrometheusOptions {
  /** Where the metrics are registered. Default: the registry of prom-client, which `@willsoto/nestjs-prometheus` serves. */
  register?: Registry | undefined;
  /** On every series, such as the name of the service. Default: none. */
  labels?: Readonly<Record<string, string>> | undefined;
}

/**
 * The metrics of the library, in a registry of prom-client. They cost nothing where this module is not imported. What is
 * counted for the whole cluster is exported by one of its processes.
 */
@Module({})
export class SagazPrometheusModule {
  /**
   * @throws at boot SagazOptionsError for a label that is in use, and for a registry that holds the metrics of another
   * application; MissingPeerError without prom-client
   */
  static forRoot(options: SagazPrometheusOptions = {}): DynamicModule {
    const exporting = observer('SagazPrometheusModule', async (application) => {
      const client = await loadPeer('prom-client', 'prom-client', () => import('prom-client'));
      const { register = client.register, labels = {} } = options;
      const exporter = new PrometheusExporter({ client, register, labels }, application);
      exporter.start();
      return () => exporter.stop();
    });
    return { module: SagazPrometheusModule, providers: [exporting] };
  }
}
