import 'reflect-metadata';
import { Injectable, Module, type ModuleMetadata, type OnModuleInit, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  ClassicSaga,
  Compensate,
  Saga,
  SagaDefinitionError,
  SagaOrchestrator,
  SagaStep,
  SagaStorage,
  SagazModule,
  type CompensationContext,
  type SagaContext,
  type SagaDefinition,
  type SagazModuleOptions,
} from '../../lib/index.js';

interface Transfer {
  readonly from: string;
  readonly cents: number;
}

type Get = <V>(token: Type<V> | (abstract new (...args: never[]) => V)) => V;

const lines: string[] = [];
const log = (message: unknown) => void lines.push(String(message));

/** Starts an application with quick retries, calls the test with it and closes it. */
async function withApplication<T>(
  { imports = [], providers = [] }: ModuleMetadata,
  work: (get: Get) => Promise<T> | T,
  options: SagazModuleOptions = { sagas: { retry: { initialInterval: 1 }, compensationRetry: 1 } },
): Promise<T> {
  @Module({ imports: [...imports, SagazModule.forRoot(options)], providers })
  class Root {}
  const testing = await Test.createTestingModule({ imports: [Root] })
    .setLogger({ log, warn: log, error: log })
    .compile();
  const app = testing.createNestApplication();
  try {
    await app.init();
    return await work((token) => app.get(token as Type, { strict: false }));
  } finally {
    await app.close();
  }
}

const debit = (ctx: SagaContext<Transfer>) => ({ debited: ctx.input.cents });
const undoDebit = (ctx: CompensationContext<Transfer, { debited: number }>) => ctx.result?.debited;
const credit = (ctx: SagaContext<Transfer, { debit: { debited: number } }>) => {
  if (ctx.input.cents > 100) throw new Error(`${ctx.results.debit?.debited} cents are too much`);
  return `credited after attempt ${ctx.attempt}`;
};

@Saga({ name: 'class-transfer', settleGrace: 10 })
class TransferSaga {
  @SagaStep()
  debit(ctx: SagaContext<Transfer>) {
    return debit(ctx);
  }
  @Compensate('debit')
  undo(ctx: CompensationContext<Transfer, { debited: number }>) {
    return undoDebit(ctx);
  }
  @SagaStep({ noEffectOn: () => true })
  credit(ctx: SagaContext<Transfer, { debit: { debited: number } }>) {
    return credit(ctx);
  }
}

const transfer = new ClassicSaga<Transfer>('transfer', { settleGrace: 10 })
  .step('debit', { action: debit, compensation: undoDebit })
  .step('credit', { action: credit, noEffectOn: () => true })
  .build();

@Module({ imports: [SagazModule.forFeature([transfer])] })
class Payments {}

describe('a saga made with ClassicSaga', () => {
  it.each([['completed', 5] as const, ['compensated', 500] as const])(
    'leaves the results and the journal that a class leaves when it is %s',
    async (status, cents) => {
      await withApplication({ imports: [Payments], providers: [TransferSaga] }, async (get) => {
        const orchestrator = get<SagaOrchestrator>(SagaOrchestrator);
        const told = async (ref: typeof TransferSaga | typeof transfer) => {
          const { sagaId, results, ...end } = await orchestrator.execute(ref, { from: 'ann', cents });
          expect(end.status).toBe(status);
          const journal = await get<SagaStorage>(SagaStorage).journal(sagaId);
          const facts = journal.map(({ kind, step, attempt, launch }) => ({ kind, step, attempt, launch }));
          return { results, error: 'error' in end ? end.error : undefined, facts };
        };
        const classic = await told(transfer);
        expect(classic).toEqual(await told(TransferSaga));
        expect(classic.facts.map(({ kind }) => kind)).toEqual(
          status === 'completed'
            ? ['step_completed', 'step_completed']
            : ['step_completed', 'step_failed', 'undo_completed'],
        );
      });
    },
  );

  it('lives by the defaults of the module, whichever way it is registered', async () => {
    const attempts: string[] = [];
    const failing = (name: string) =>
      new ClassicSaga(name)
        .step('only', {
          action: (ctx) => {
            attempts.push(`${ctx.sagaName} ${ctx.attempt}`);
            throw new Error('no');
          },
        })
        .build();
    const [given, registered] = [failing('given'), failing('registered')];
    @Injectable()
    class Registrar implements OnModuleInit {
      constructor(private readonly orchestrator: SagaOrchestrator) {}
      onModuleInit() {
        this.orchestrator.register(registered);
      }
    }
    const parts = { imports: [SagazModule.forFeature([given])], providers: [Registrar] };
    const twice = { sagas: { retry: { maxAttempts: 2, initialInterval: 1 } } };
    await withApplication(
      parts,
      async (get) => {
        const orchestrator = get<SagaOrchestrator>(SagaOrchestrator);
        const late = failing('late');
        orchestrator.register(late);
        for (const saga of [given, registered, late]) await orchestrator.execute(saga, {});
      },
      twice,
    );
    expect(attempts).toEqual(['given 1', 'given 2', 'registered 1', 'registered 2', 'late 1', 'late 2']);
  });

  it('may be given by several modules, and is told in the start-up line', async () => {
    @Module({ imports: [SagazModule.forFeature([transfer])] })
    class Refunds {}
    lines.length = 0;
    await withApplication({ imports: [Payments, Refunds] }, () => undefined);
    expect(lines.find((line) => line.startsWith('storage'))).toMatch(/ \| sagas transfer v1$/);
  });

  it('takes steps and undos that stand on providers', async () => {
    @Injectable()
    class Notary {
      @SagaStep({ saga: transfer, dependsOn: ['credit'] })
      record(ctx: SagaContext<Transfer>) {
        return `recorded for ${ctx.input.from}`;
      }
      @Compensate('credit', { saga: 'transfer' })
      reverse(_ctx: CompensationContext<Transfer, string>) {
        return undefined;
      }
    }
    await withApplication({ imports: [Payments], providers: [Notary] }, async (get) => {
      const result = await get<SagaOrchestrator>(SagaOrchestrator).execute(transfer, {
        from: 'ann',
        cents: 1,
      });
      expect(result.results).toMatchObject({ record: 'recorded for ann' });
    });
    expect([...transfer.steps.keys()]).toEqual(['debit', 'credit']);
  });

  it('refuses the boot with every fault of classes and definitions', async () => {
    @Saga({ name: 'transfer' })
    class OtherTransfer {
      @SagaStep()
      only(_ctx: SagaContext<Transfer>) {
        return 1;
      }
    }
    const builder = new ClassicSaga('unbuilt').step('only', { action: () => 1 });
    const wrong = [transfer, builder, TransferSaga] as unknown as SagaDefinition[];
    const parts = { imports: [SagazModule.forFeature(wrong)], providers: [OtherTransfer] };
    const error = await withApplication(parts, () => undefined).catch((it: unknown) => it);
    expect((error as SagaDefinitionError).faults.map(({ message }) => message)).toEqual([
      'SagazModule.forFeature: expected a saga definition, got a builder; call its build() and hand in what that returns',
      'SagazModule.forFeature: expected a saga definition, got the class TransferSaga; decorate it with @Saga and add it to the providers of a module',
      'ClassicSaga "transfer": the saga "transfer" version 1 is OtherTransfer already; choose another name or version',
    ]);
  });
});
