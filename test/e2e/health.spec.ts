import 'reflect-metadata';
import { Controller, Get, Inject, type INestApplication } from '@nestjs/common';
import { HealthCheck, HealthCheckService, TerminusModule, type HealthCheckResult } from '@nestjs/terminus';
import request from 'supertest';
import type { App } from 'supertest/types.js';
import { InMemoryBroker } from '../../lib/index.js';
import { OutboxHealthIndicator, SagaHealthIndicator } from '../../lib/terminus.js';
import { describeWith } from '../support/requirement.js';
import { startApplication } from '../support/test-application.js';
import { applicationDatabase, type ApplicationDatabase } from '../support/test-data-source.js';

@Controller()
class HealthController {
  constructor(
    @Inject(HealthCheckService) private readonly health: HealthCheckService,
    @Inject(SagaHealthIndicator) private readonly sagas: SagaHealthIndicator,
    @Inject(OutboxHealthIndicator) private readonly outbox: OutboxHealthIndicator,
  ) {}

  @Get('health')
  @HealthCheck()
  check(): Promise<HealthCheckResult> {
    return this.health.check([() => this.sagas.isHealthy(), () => this.outbox.isHealthy()]);
  }
}

/** One that can be cut off. */
class FragileBroker extends InMemoryBroker {
  isDown = false;

  override ping(): Promise<void> {
    return this.isDown ? Promise.reject(new Error('cut off')) : super.ping();
  }
}

describeWith('postgres', 'a health check', () => {
  let database: ApplicationDatabase;
  let app: INestApplication<App>;
  const broker = new FragileBroker();

  beforeAll(async () => {
    database = await applicationDatabase();
    app = await startApplication({
      url: database.url,
      sagaz: { broker },
      imports: [TerminusModule.forRoot({ logger: false })],
      providers: [SagaHealthIndicator, OutboxHealthIndicator],
      controllers: [HealthController],
    });
  });
  afterAll(async () => {
    await app.close();
    await database.close();
  });

  it('answers 200 while all is well', async () => {
    const { body, status } = await request(app.getHttpServer()).get('/health');
    expect([status, (body as HealthCheckResult).status]).toEqual([200, 'ok']);
    expect((body as HealthCheckResult).details).toMatchObject({
      sagas: { status: 'up' },
      outbox: { status: 'up' },
    });
  });

  it('still answers 200, degraded, without its broker: events wait for it', async () => {
    broker.isDown = true;
    const { body, status } = await request(app.getHttpServer()).get('/health');
    broker.isDown = false;
    expect([status, (body as HealthCheckResult).status]).toEqual([200, 'degraded']);
    expect((body as HealthCheckResult).details).toMatchObject({
      outbox: { status: 'degraded', message: 'destination "default": cut off' },
    });
  });

  it('answers 503 when the schema is not that of this version', async () => {
    await database.dataSource.query('DELETE FROM saga_migration WHERE version = 9');
    const { body, status } = await request(app.getHttpServer()).get('/health');
    expect(status).toBe(503);
    expect((body as HealthCheckResult).error).toMatchObject({
      sagas: { status: 'down', message: expect.stringContaining('lacks the migrations 9') as string },
    });
  });
});
