import {
  Inject,
  Injectable,
  Module,
  type DynamicModule,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { Registry } from 'prom-client';
import { loadPeer } from '../../brokers/load-peer.js';
import { observedApplication } from '../observed-application.js';
import { PrometheusExporter } from './prometheus-exporter.js';

export interface SagazPrometheusOptions {
  /** Where the metrics are registered. Default: the registry of prom-client, which `@willsoto/nestjs-prometheus` serves. */
  register?: Registry | undefined;
  /** On every series, such as the name of the service. Default: none. */
  labels?: Readonly<Record<string, string>> | undefined;
}

const OPTIONS = Symbol.for('nestjs-sagaz:prometheus-options');

/** Registers before the library starts, and takes the metrics away after it has ended. */
@Injectable()
class PrometheusLifecycle implements OnModuleInit, OnApplicationShutdown {
  private exporter: PrometheusExporter | undefined;

  constructor(
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
    @Inject(OPTIONS) private readonly options: SagazPrometheusOptions,
  ) {}

  async onModuleInit(): Promise<void> {
    const application = observedApplication(this.moduleRef, 'SagazPrometheusModule');
    const client = await loadPeer('prom-client', 'prom-client', () => import('prom-client'));
    const { register = client.register, labels = {} } = this.options;
    this.exporter = new PrometheusExporter({ client, register, labels }, application);
    this.exporter.start();
  }

  onApplicationShutdown(): void {
    this.exporter?.stop();
  }
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
    return {
      module: SagazPrometheusModule,
      providers: [{ provide: OPTIONS, useValue: options }, PrometheusLifecycle],
    };
  }
}
