import { Module, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SagaOrchestrator, SagazModule } from 'nestjs-sagaz';
import { atLeast, atMost, type Bench, type BenchSettings, type Figure } from '../bench.js';
import { interleaved, type Contender } from '../interleaved.js';
import { rateOf, type Load } from '../load.js';
import { BareSagas } from './bare-saga.js';
import { durableFigures } from './durable.js';
import { lineSaga, OrderSaga } from './no-op-sagas.js';

const INPUT = { orderId: 'A-1', amount: 12 };
const SHORT = 10;
const LONG = 200;
const SAGAS_AT_ONCE = 100;
/** A long line takes its time, and every run waits for its last saga. */
const LINES_AT_ONCE = 10;

@Module({})
class BenchModule {}

export const sagasBench: Bench = {
  name: 'sagas',
  about: 'sagas of no-op steps in memory and on PostgreSQL, beside the same work without a library, and DBOS',
  async run(settings: BenchSettings): Promise<readonly Figure[]> {
    return [...(await durableFigures(settings)), ...(await memoryFigures(settings))];
  },
};

async function memoryFigures(settings: BenchSettings): Promise<readonly Figure[]> {
  const rates = await interleaved(
    {
      memory: inMemory(OrderSaga, SAGAS_AT_ONCE),
      memoryBare: (ms) => bare({ atOnce: SAGAS_AT_ONCE, ms }),
      short: inMemory(lineSaga(SHORT), LINES_AT_ONCE),
      long: inMemory(lineSaga(LONG), LINES_AT_ONCE),
    },
    settings,
  );
  const { memory, memoryBare } = rates;
  const stepCost10 = stepCost(rates.short, SHORT);
  const stepCost200 = stepCost(rates.long, LONG);
  return [
    { field: 'memory', value: memory, unit: 'sagas/s' },
    { field: 'memoryBare', value: memoryBare, unit: 'sagas/s' },
    { field: 'ratioToBare', value: memory / memoryBare, unit: '', bar: atLeast(0.3) },
    { field: 'stepCost10', value: stepCost10, unit: 'µs per step' },
    { field: 'stepCost200', value: stepCost200, unit: 'µs per step' },
    { field: 'growth', value: stepCost200 / stepCost10, unit: '', bar: atMost(1) },
  ];
}

/** Executes sagas in an application of their own, so that every run begins with an empty store. */
function inMemory(saga: Type<object>, atOnce: number): Contender {
  return async (ms) => {
    const imports = [SagazModule.forRoot({ storage: 'memory', allowMemoryInProduction: true })];
    const root = { module: BenchModule, imports, providers: [saga] };
    const app = await NestFactory.createApplicationContext(root, { logger: ['warn', 'error'] });
    try {
      return await executed(app.get<SagaOrchestrator>(SagaOrchestrator), saga, { atOnce, ms });
    } finally {
      await app.close();
    }
  };
}

function executed(orchestrator: SagaOrchestrator, saga: Type<object>, load: Load): Promise<number> {
  return rateOf(async () => {
    const { status, sagaId } = await orchestrator.execute(saga, INPUT);
    if (status !== 'completed') throw new Error(`saga ${sagaId} ended ${status}`);
  }, load);
}

function bare(load: Load): Promise<number> {
  const sagas = new BareSagas();
  return rateOf(() => sagas.execute(INPUT), load);
}

/** In microseconds; the start and the end of the saga are spread over its steps. */
function stepCost(sagasPerSecond: number, steps: number): number {
  return 1_000_000 / (sagasPerSecond * steps);
}
