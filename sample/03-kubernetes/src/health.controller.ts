import { Controller, Get } from '@nestjs/common';
import { HealthCheck, HealthCheckService, type HealthCheckResult } from '@nestjs/terminus';
import { OutboxHealthIndicator, SagaHealthIndicator } from 'nestjs-sagaz/terminus';

@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly sagas: SagaHealthIndicator,
    private readonly outbox: OutboxHealthIndicator,
  ) {}

  /** The process answers. A database or broker that is down is no reason to start it again. */
  @Get('live')
  live(): { status: 'ok' } {
    return { status: 'ok' };
  }

  /** It can work: the database answers. What is stuck, or a broker that is down, only degrades it. */
  @Get('ready')
  @HealthCheck()
  ready(): Promise<HealthCheckResult> {
    return this.health.check([() => this.sagas.isHealthy(), () => this.outbox.isHealthy()]);
  }
}
