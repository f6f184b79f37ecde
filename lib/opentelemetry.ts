export {
  SagazOpenTelemetryModule,
  type SagazOpenTelemetryOptions,
} from './observability/opentelemetry/sagaz-opentelemetry.module.js';
