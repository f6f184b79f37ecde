import {
  Inject,
  Injectable,
  Logger,
  Module,
  type DynamicModule,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { TracerProvider } from '@opentelemetry/api';
import { loadPeer } from '../../brokers/load-peer.js';
import { observedApplication } from '../observed-application.js';
import type { Tracing } from '../../runtime/tracing.js';
import { OtelTracer } from './otel-tracer.js';

export interface SagazOpenTelemetryOptions {
  /** Makes the spans. Default: the one that the application's OpenTelemetry SDK has registered. */
  tracerProvider?: TracerProvider | undefined;
}

const OPTIONS = Symbol.for('nestjs-sagaz:opentelemetry-options');
const NO_SDK =
  'no OpenTelemetry SDK is registered in this process, so traces end here: start it before the application';

/** Traces from before the library starts until after it has ended. */
@Injectable()
class OpenTelemetryLifecycle implements OnModuleInit, OnApplicationShutdown {
  private tracing: Tracing | undefined;

  constructor(
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
    @Inject(OPTIONS) private readonly options: SagazOpenTelemetryOptions,
  ) {}

  async onModuleInit(): Promise<void> {
    const { tracing } = observedApplication(this.moduleRef, 'SagazOpenTelemetryModule');
    const name = '@opentelemetry/api';
    const api = await loadPeer(name, name, () => import('@opentelemetry/api'));
    if (api.propagation.fields().length === 0) new Logger('SagazOpenTelemetryModule').warn(NO_SDK);
    const { tracerProvider = api.trace } = this.options;
    tracing.use(new OtelTracer(api, tracerProvider.getTracer('nestjs-sagaz')));
    this.tracing = tracing;
  }

  onApplicationShutdown(): void {
    this.tracing?.use(undefined);
  }
}

/**
 * Spans of sagas, steps, undos, published events and messages, in the trace of whoever started the saga or wrote the event.
 * Contexts travel by the propagator that the application's SDK has registered. Handlers run inside their spans, so what they
 * call hangs under them. Nothing is made where this module is not imported.
 */
@Module({})
export class SagazOpenTelemetryModule {
  /** @throws MissingPeerError at boot without `@opentelemetry/api` */
  static forRoot(options: SagazOpenTelemetryOptions = {}): DynamicModule {
    return {
      module: SagazOpenTelemetryModule,
      providers: [{ provide: OPTIONS, useValue: options }, OpenTelemetryLifecycle],
    };
  }
}
