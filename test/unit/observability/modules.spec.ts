import 'reflect-metadata';
import { Test } from '@nestjs/testing';
import { Registry } from 'prom-client';
import { SagazModule } from '../../../lib/index.js';
import { SagazOpenTelemetryModule } from '../../../lib/opentelemetry.js';
import { SagazPrometheusModule } from '../../../lib/prometheus.js';

const start = async (...imports: Parameters<typeof Test.createTestingModule>[0]['imports'] & object) => {
  const testing = await Test.createTestingModule({ imports }).compile();
  return testing.createNestApplication({ logger: false }).init();
};

it.each([
  ['SagazPrometheusModule', SagazPrometheusModule.forRoot({ register: new Registry() })],
  ['SagazOpenTelemetryModule', SagazOpenTelemetryModule.forRoot()],
])('%s asks for the module that it observes', async (name, module) => {
  await expect(start(module)).rejects.toThrow(
    `${name} has nothing to observe: import SagazModule in the root module`,
  );
});

it('SagazPrometheusModule takes its metrics away when the application closes', async () => {
  const register = new Registry();
  const app = await start(SagazModule.forRoot(), SagazPrometheusModule.forRoot({ register }));
  expect(await register.metrics()).toContain('sagaz_outbox_shards_owned');
  await app.close();
  expect(register.getMetricsAsArray()).toEqual([]);
});
