import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Compensate, Saga, SagaOrchestrator, SagaStep, SagazModule, SignalTooLateError } from 'nestjs-sagaz';
import type { SagaContext } from 'nestjs-sagaz';

interface Leave {
  readonly employee: string;
  readonly days: number;
}

interface Decision {
  readonly approved: boolean;
  readonly by: string;
}

@Saga({ name: 'leave' })
export class LeaveSaga {
  @SagaStep({ dependsOn: [] })
  async reserve({ input }: SagaContext<Leave>) {
    console.log(`${input.days} days reserved for ${input.employee}`);
  }

  @Compensate('reserve')
  async giveBack() {
    console.log('given back');
  }

  @SagaStep({ dependsOn: ['reserve'], waitFor: 'decided', waitTimeout: '7d', readOnly: true })
  async decide(ctx: SagaContext<Leave>): Promise<Decision> {
    return ctx.signalPayload as Decision;
  }

  @SagaStep({ dependsOn: ['decide'], delay: '50ms', readOnly: true })
  async tell({ input, results }: SagaContext<Leave, { decide: Decision }>) {
    console.log(
      `${input.employee} hears: ${results.decide?.approved ? 'yes' : 'no'}, says ${results.decide?.by}`,
    );
  }
}

@Module({ imports: [SagazModule.forRoot({ storage: 'memory' })], providers: [LeaveSaga] })
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['warn', 'error'] });
const orchestrator = app.get<SagaOrchestrator>(SagaOrchestrator);

const leave = { employee: 'Ada', days: 3 };
const { sagaId, result } = await orchestrator.start(LeaveSaga, leave, { idempotencyKey: 'leave 17' });
while ((await orchestrator.get(sagaId)).status !== 'waiting') await sleep(10);

const target = { saga: LeaveSaga, key: 'leave 17' };
const decision = { approved: true, by: 'Grace' };
await orchestrator.signal(target, 'decided', decision, { id: 'mail 4711' });
const again = await orchestrator.signal(target, 'decided', decision, { id: 'mail 4711' });
console.log('the same mail again, duplicate:', again.duplicate);
console.log('the leave is', (await result()).status);

const late = await orchestrator.signal(target, 'decided', decision).catch((error: unknown) => error);
if (late instanceof SignalTooLateError) console.log('another one:', late.code);
await app.close();
