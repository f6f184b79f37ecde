import { Logger, Module, type DynamicModule } from '@nestjs/common';
import type { TracerProvider } from '@opentelemetry/api';
import { loadPeer } from '../../brokers/load-peer.js';
import { observer } from '../observer.js';
import { OtelTracer } from './otel-tracer.js';

export interface SagazOpenTelemetryOptions {
  /** Makes the spans. Default: the one that the application's OpenTelemetry SDK has registered. */
  tracerProvider?: TracerProvider | undefined;
}

const NO_SDK =
  'no OpenTelemetry SDK is registered in this process, so traces end here: start it before the application';

/**
 * Spans of sagas, steps, undos, published events and messages, in the trace of whoever started the saga or wrote the event.
 * Contexts travel by the propagator that the application's SDK has registered. Handlers run inside their spans, so what they
 * call hangs under them. Nothing is made where this module is not imported.
 */
@Module({})
export class SagazOpenTelemetryModule {
  /** @throws MissingPeerError at boot without `@opentelemetry/api` */
  static forRoot(options: SagazOpenTelemetryOptions = {}): DynamicModule {
    const name = '@opentelemetry/api';
    const tracing = observer('SagazOpenTelemetryModule', async (application) => {
      const api = await loadPeer(name, name, () => import('@opentelemetry/api'));
      if (api.propagation.fields().length === 0) new Logger('SagazOpenTelemetryModule').warn(NO_SDK);
      const { tracerProvider = api.trace } = options;
      application.tracing.use(new OtelTracer(api, tracerProvider.getTracer('nestjs-sagaz')));
      return () => application.tracing.use(undefined);
    });
    return { module: SagazOpenTelemetryModule, providers: [tracing] };
  }
}
