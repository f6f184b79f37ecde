import 'reflect-metadata';
import { Controller, Injectable, Module, type INestApplication } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import {
  Compensate,
  MessageBroker,
  NonRetryableError,
  Saga,
  SagaOrchestrator,
  SagaStep,
  SagazModule,
  type CompensationContext,
  type InMemoryBroker,
  type SagaContext,
} from '../../lib/index.js';
import { InMemoryTransport } from '../../lib/microservices.js';
import { until } from '../support/until.js';

interface TripInput {
  readonly trip: string;
  readonly fail?: boolean;
}

@Injectable()
class Ledger {
  readonly lines: string[] = [];
}

@Saga({ name: 'trip', retry: { maxAttempts: 2, initialInterval: 1 } })
class TripSaga {
  constructor(private readonly ledger: Ledger) {}

  @SagaStep()
  async hotel(ctx: SagaContext<TripInput>) {
    this.ledger.lines.push(`hotel ${ctx.input.trip}`);
    await ctx.publish({ type: 'hotel.booked', payload: { trip: ctx.input.trip } });
    return { room: 7 };
  }

  @Compensate('hotel')
  cancelHotel(ctx: CompensationContext<TripInput, { room: number }>) {
    this.ledger.lines.push(`cancel hotel ${ctx.input.trip} room ${ctx.result?.room}`);
  }

  @SagaStep()
  flight(ctx: SagaContext<TripInput>) {
    this.ledger.lines.push(`flight ${ctx.input.trip}`);
    if (ctx.input.fail) throw new NonRetryableError('no seats');
    return 'seat 1A';
  }

  @Compensate('flight')
  cancelFlight(ctx: CompensationContext<TripInput, string>) {
    this.ledger.lines.push(`cancel flight ${ctx.input.trip} ${ctx.outcome}`);
  }
}

@Controller()
class Listener {
  readonly seen: unknown[] = [];

  @EventPattern<string>('hotel.booked')
  booked(@Payload() payload: unknown) {
    this.seen.push(payload);
  }
}

@Module({ imports: [SagazModule.forRoot()], providers: [TripSaga, Ledger], controllers: [Listener] })
class AppModule {}

describe('an application without a database', () => {
  let app: INestApplication;
  let orchestrator: SagaOrchestrator;

  beforeAll(async () => {
    app = (await Test.createTestingModule({ imports: [AppModule] }).compile()).createNestApplication({
      logger: false,
    });
    app.connectMicroservice({ strategy: new InMemoryTransport(app.get<InMemoryBroker>(MessageBroker)) });
    await app.startAllMicroservices();
    await app.init();
    orchestrator = app.get(SagaOrchestrator);
  });

  afterAll(() => app.close());

  it('completes a saga with the results of its steps', async () => {
    const result = await orchestrator.execute(TripSaga, { trip: 'a' });
    expect(result).toMatchObject({
      status: 'completed',
      sagaName: 'trip',
      results: { hotel: { room: 7 }, flight: 'seat 1A' },
    });
  });

  it('delivers events of a completed step to an @EventPattern handler', async () => {
    const { seen } = app.get(Listener);
    await until(() => seen.length > 0);
    expect(seen).toContainEqual({ trip: 'a' });
  });

  it('undoes completed and unknown steps in reverse order', async () => {
    const result = await orchestrator.execute(TripSaga, { trip: 'b', fail: true });
    expect(result).toMatchObject({
      status: 'compensated',
      error: { code: 'SAGAZ_NON_RETRYABLE', message: 'no seats', step: 'flight' },
      results: { hotel: { room: 7 } },
    });
    const lines = app.get(Ledger).lines.filter((line) => line.includes(' b'));
    expect(lines).toEqual(['hotel b', 'flight b', 'cancel flight b unknown', 'cancel hotel b room 7']);
  });
});
