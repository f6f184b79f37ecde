export {
  OutboxHealthIndicator,
  type OutboxHealthLimits,
} from './observability/terminus/outbox.health-indicator.js';
export {
  SagaHealthIndicator,
  type SagaHealthLimits,
} from './observability/terminus/saga.health-indicator.js';
