import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, ConsoleSpanExporter, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import type { Config } from './config.js';

/** To be called before Nest starts. @returns what sends the last spans; undefined when they go nowhere */
export function startTracing(config: Config, service: string): (() => Promise<void>) | undefined {
  const exporter = exporterOf(config);
  if (!exporter) return undefined;
  const resource = resourceFromAttributes({ 'service.name': service });
  const spanProcessors = [new BatchSpanProcessor(exporter)];
  const provider = new NodeTracerProvider({ resource, spanProcessors });
  provider.register();
  return () => provider.shutdown();
}

function exporterOf({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_TRACES_EXPORTER: kind }: Config) {
  // It reads the endpoint from the environment itself.
  if (endpoint !== undefined) return new OTLPTraceExporter();
  return kind === 'console' ? new ConsoleSpanExporter() : undefined;
}
