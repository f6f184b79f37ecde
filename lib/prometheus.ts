export {
  SagazPrometheusModule,
  type SagazPrometheusOptions,
} from './observability/prometheus/sagaz-prometheus.module.js';
