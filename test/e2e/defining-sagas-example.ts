import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClassicSaga, Compensate, Saga, SagaOrchestrator, SagaStep, SagazModule } from 'nestjs-sagaz';
import type { CompensationContext, SagaContext } from 'nestjs-sagaz';
import { z } from 'zod';

const tripInput = z.object({ city: z.string(), nights: z.number().min(1) });
type Trip = z.infer<typeof tripInput>;
type Room = { room: number };

@Saga({ name: 'trip', version: 1, input: tripInput, stepTimeout: '10s' })
export class TripSaga {
  @SagaStep()
  hotel(ctx: SagaContext<Trip>): Room {
    return { room: 100 + ctx.input.nights };
  }
  @Compensate('hotel')
  leave(ctx: CompensationContext<Trip, Room>) {
    console.log(`room ${ctx.result?.room} is free again`);
  }

  @SagaStep({ dependsOn: [], retry: { maxAttempts: 5 } })
  flight(ctx: SagaContext<Trip>) {
    return { seat: '12A', to: ctx.input.city };
  }
  @Compensate('flight', { timeout: '1m' })
  land(_ctx: CompensationContext<Trip>) {}

  @SagaStep({ dependsOn: ['hotel', 'flight'], pivot: true })
  pay(ctx: SagaContext<Trip, { hotel: Room }>) {
    return `room ${ctx.results.hotel?.room} is paid`;
  }
}

@Injectable()
export class Mailer {
  @SagaStep({ saga: TripSaga, dependsOn: ['pay'] })
  confirm(ctx: SagaContext<Trip>) {
    console.log(`see you in ${ctx.input.city}`);
  }
}

const transferInput = z.object({ from: z.string(), to: z.string(), cents: z.coerce.number() });

export const transfer = new ClassicSaga('transfer', { input: transferInput, stepTimeout: '10s' })
  .step('debit', {
    action: (ctx) => ({ taken: ctx.input.cents }),
    compensation: (ctx) => console.log(`${ctx.input.from} gets ${ctx.result?.taken} back`),
    compensationOptions: { timeout: '1m' },
  })
  .step('credit', {
    dependsOn: ['debit'],
    action: (ctx) => `${ctx.input.to} has ${ctx.results.debit?.taken}`,
  })
  .build();

@Module({ imports: [SagazModule.forFeature([transfer])] })
export class PaymentsModule {}

@Module({ imports: [PaymentsModule, SagazModule.forRoot()], providers: [TripSaga, Mailer] })
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['warn', 'error'] });
const orchestrator = app.get(SagaOrchestrator);

const plan = orchestrator.plan(TripSaga);
console.log(plan.groups);
console.log(plan.compensation);
console.log(plan.mermaid);

await orchestrator.execute(TripSaga, { city: 'Oslo', nights: 2 });
const result = await orchestrator.execute(transfer, { from: 'ann', to: 'bob', cents: '500' });
if (result.status === 'completed') console.log(result.results.credit);

const nobody = { city: 'Oslo', nights: 0 };
await orchestrator.execute(TripSaga, nobody).catch((error: Error) => console.log(error.message));
await app.close();
