import 'reflect-metadata';
import { Inject, Injectable, Module, Scope, type Provider, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { getDataSourceToken, TypeOrmModule } from '@nestjs/typeorm';
import {
  Compensate,
  DuplicateCopyError,
  InMemoryBroker,
  MemoryInProductionError,
  MessageBroker,
  Outbox,
  OutboxStorage,
  OutboxWorker,
  Saga,
  SagaDefinitionError,
  SagaOrchestrator,
  SagaStep,
  SagaStorage,
  SagazModule,
  SagazOptionsError,
  type CompensationContext,
  type SagaContext,
  type SagazModuleOptions,
  type SagazOptionsFactory,
} from '../../lib/index.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { describeWith } from '../support/requirement.js';

/** Starts an application, calls the test with it and closes it. */
async function withModule<T>(
  root: Type,
  work: (app: { get<V>(token: unknown): V }) => Promise<T> | T,
): Promise<T> {
  const testing = await Test.createTestingModule({ imports: [root] })
    .setLogger(silent)
    .compile();
  const app = testing.createNestApplication();
  try {
    await app.init();
    return await work({ get: (token) => app.get(token as Type, { strict: false }) });
  } finally {
    await app.close();
  }
}

const lines: string[] = [];
const silent = {
  log: (message: unknown) => void lines.push(String(message)),
  warn: (message: unknown) => void lines.push(String(message)),
  error: () => undefined,
};

function rootOf(options: SagazModuleOptions = {}, providers: Provider[] = []): Type {
  @Module({ imports: [SagazModule.forRoot(options)], providers })
  class Root {}
  return Root;
}

const boot = (options: SagazModuleOptions = {}, providers: Provider[] = []) =>
  withModule(rootOf(options, providers), () => undefined);

@Saga({ name: 'greet' })
class GreetSaga {
  @SagaStep()
  hello(ctx: SagaContext<{ name: string }>) {
    return `hello ${ctx.input.name}`;
  }
}

describe('SagazModule.forRoot', () => {
  it('makes its services injectable and says at the start what is in use', async () => {
    lines.length = 0;
    await withModule(rootOf({}, [GreetSaga]), (app) => {
      for (const token of [
        SagaOrchestrator,
        Outbox,
        OutboxWorker,
        OutboxStorage,
        SagaStorage,
        MessageBroker,
      ]) {
        expect(app.get(token)).toBeDefined();
      }
    });
    const line = lines.find((it) => it.startsWith('storage'));
    expect(line).toMatch(
      /^storage memory .*\| brokers default=memory \| relay notify and poll \| worker \S+ \(sagas and events\) \| sagas greet v1$/,
    );
  });

  it('takes the broker that it is given', async () => {
    const broker = new InMemoryBroker();
    await withModule(rootOf({ broker }), (app) => expect(app.get(MessageBroker)).toBe(broker));
  });

  it('closes its brokers also where it does not relay: a health check may have connected them', async () => {
    const closed: string[] = [];
    class NotedBroker extends InMemoryBroker {
      constructor(private readonly name: string) {
        super();
      }
      override async close() {
        closed.push(this.name);
      }
    }
    const [broker, audit] = [new NotedBroker('default'), new NotedBroker('audit')];
    await boot({ broker, brokers: { audit }, worker: { outbox: false } });
    expect(closed.sort()).toEqual(['audit', 'default']);
  });

  it('refuses to boot with wrong options, all of them in one message', async () => {
    const wrong = {
      stroage: 'memory',
      worker: { lease: '10 s', maxSaga: 5 },
      outbox: { batchSize: 0 },
      migrations: 'auto',
    };
    const error = await boot(wrong as unknown as SagazModuleOptions).catch((it: unknown) => it);
    expect(error).toBeInstanceOf(SagazOptionsError);
    expect(error).toMatchObject({ code: 'SAGAZ_INVALID_OPTIONS' });
    const { message } = error as Error;
    expect(message).toContain('unknown option "stroage"; did you mean "storage"?');
    expect(message).toContain(
      "worker.lease: expected a duration such as 250, '250ms', '5s', '10m', '1h' or '7d', got '10 s'",
    );
    expect(message).toContain('worker: unknown option "maxSaga"; did you mean "maxSagas"?');
    expect(message).toContain('outbox.batchSize: expected a whole number from 1 to 10000, got 0');
    expect(message).toContain("migrations: expected one of 'run', 'check', 'off', got 'auto'");
  });

  it('refuses memory storage in production unless it is allowed by name', async () => {
    const before = process.env['NODE_ENV'];
    process.env['NODE_ENV'] = 'production';
    try {
      await expect(boot()).rejects.toThrow(MemoryInProductionError);
      await expect(boot({ allowMemoryInProduction: true })).resolves.toBeUndefined();
    } finally {
      process.env['NODE_ENV'] = before;
    }
  });

  it('refuses a second SagazModule in one application', async () => {
    @Module({ imports: [SagazModule.forRoot()] })
    class Feature {}
    @Module({ imports: [Feature, SagazModule.forRoot({ shutdownTimeout: 1 })] })
    class Root {}
    await expect(withModule(Root, () => undefined)).rejects.toThrow(DuplicateCopyError);
  });

  it('stays inside the importing module with isGlobal: false', async () => {
    @Injectable()
    class Elsewhere {
      constructor(@Inject(SagaOrchestrator) readonly orchestrator: SagaOrchestrator) {}
    }
    @Module({ providers: [Elsewhere] })
    class Feature {}
    const root = (isGlobal: boolean) => {
      @Module({ imports: [Feature, SagazModule.forRoot({ isGlobal })] })
      class Root {}
      return Root;
    };
    await expect(withModule(root(true), () => undefined)).resolves.toBeUndefined();
    await expect(withModule(root(false), () => undefined)).rejects.toThrow(/dependencies of the Elsewhere/);
  });
});

describe('SagazModule.forRootAsync', () => {
  @Injectable()
  class Factory implements SagazOptionsFactory {
    createSagazOptions() {
      return { worker: { id: 'from-factory' } };
    }
  }
  @Module({ providers: [Factory], exports: [Factory] })
  class ConfigModule {}

  it.each([
    ['useFactory', { useFactory: () => ({ worker: { id: 'from-factory' } }) }],
    ['useClass', { useClass: Factory }],
    ['useExisting', { imports: [ConfigModule], useExisting: Factory }],
  ])('takes options by %s', async (_way, options) => {
    @Module({ imports: [SagazModule.forRootAsync(options)] })
    class Root {}
    lines.length = 0;
    await withModule(Root, () => undefined);
    expect(lines.find((it) => it.startsWith('storage'))).toContain('worker from-factory');
  });

  it('wants the name of the DataSource beside the factory', async () => {
    @Module({ imports: [SagazModule.forRootAsync({ useFactory: () => ({ dataSource: 'shop' }) })] })
    class Root {}
    await expect(withModule(Root, () => undefined)).rejects.toThrow('put "shop" beside useFactory');
  });
});

describe('discovery', () => {
  interface Input {
    readonly name: string;
  }

  it('joins steps and undos of other providers, with everything injected', async () => {
    @Injectable()
    class Words {
      readonly said: string[] = [];
    }
    @Saga({ name: 'speech' })
    class SpeechSaga {
      constructor(private readonly words: Words) {}
      @SagaStep()
      open(ctx: SagaContext<Input>) {
        this.words.said.push(`open ${ctx.input.name}`);
      }
    }
    @Injectable()
    class OtherSteps {
      constructor(private readonly words: Words) {}
      @Compensate('open', { saga: 'speech' })
      close(ctx: CompensationContext<Input>) {
        this.words.said.push(`close ${ctx.input.name}`);
      }
      @SagaStep({ saga: SpeechSaga, dependsOn: ['open'], retry: false })
      speak() {
        throw new Error('no voice');
      }
    }
    @Module({ providers: [OtherSteps, Words], exports: [Words] })
    class Feature {}
    @Module({ imports: [Feature, SagazModule.forRoot()], providers: [SpeechSaga] })
    class Root {}

    await withModule(Root, async (app) => {
      const result = await app.get<SagaOrchestrator>(SagaOrchestrator).execute('speech', { name: 'ann' });
      expect(result).toMatchObject({ status: 'compensated', error: { message: 'no voice', step: 'speak' } });
      expect(app.get<Words>(Words).said).toEqual(['open ann', 'close ann']);
    });
  });

  it('refuses to boot with every fault of every saga, naming class and method', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest {}
    @Saga({ name: 'scoped' })
    class ScopedSaga {
      constructor(readonly dependency: PerRequest) {}
      @SagaStep()
      only() {
        return 1;
      }
    }
    @Saga({ name: 'loop' })
    class LoopSaga {
      @SagaStep({ dependsOn: ['second'] })
      first(_ctx: SagaContext<Input>) {
        return 1;
      }
      @SagaStep({ dependsOn: ['first'] })
      second(_ctx: SagaContext<Input>) {
        return 2;
      }
    }
    @Saga({ name: 'typo' })
    class TypoSaga {
      @SagaStep({ saga: 'typo', dependsOn: ['reserv'] })
      charge() {
        return 1;
      }
      @SagaStep({ saga: 'typo', dependsOn: [] })
      reserve() {
        return 1;
      }
      @Compensate('chrage', { saga: 'typo' })
      refund() {
        return 1;
      }
    }
    const error = await boot({}, [PerRequest, ScopedSaga, LoopSaga, TypoSaga]).catch((it: unknown) => it);
    expect(error).toBeInstanceOf(SagaDefinitionError);
    const { message } = error as Error;
    expect(message).toMatch(/ScopedSaga \(only\): .*request-scoped.*\[NOT_SINGLETON\]/);
    expect(message).toContain(
      'the steps wait for each other: LoopSaga.first -> LoopSaga.second -> LoopSaga.first [CYCLE]',
    );
    expect(message).toContain('TypoSaga.charge: dependsOn names "reserv"');
    expect(message).toContain('did you mean "reserve"? [UNKNOWN_DEPENDENCY]');
    expect(message).toMatch(
      /TypoSaga.refund: saga "typo" has no step "chrage".*did you mean "charge".*\[COMPENSATION_WITHOUT_STEP\]/,
    );
  });
});

describeWith('postgres', 'the choice of the DataSource', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(() => database.drop());

  const rootWith = (
    name: string | undefined,
    sagaz: SagazModuleOptions,
    order: 'before' | 'after' = 'before',
  ) => {
    const typeorm = TypeOrmModule.forRoot({
      ...(name !== undefined && { name }),
      type: 'postgres',
      url: database.url,
    });
    const own = SagazModule.forRoot(sagaz);
    @Module({ imports: order === 'before' ? [typeorm, own] : [own, typeorm] })
    class Root {}
    return Root;
  };
  const storageKind = (root: Type) => withModule(root, (app) => app.get<SagaStorage>(SagaStorage).kind);

  it('takes the unnamed one, in any order of imports', async () => {
    expect(await storageKind(rootWith(undefined, {}, 'before'))).toBe('typeorm');
    expect(await storageKind(rootWith(undefined, {}, 'after'))).toBe('typeorm');
  });

  it('takes a named one, and leaves it open for others after us', async () => {
    const root = rootWith('shop', { dataSource: 'shop', schema: 'saga_shop' });
    expect(await storageKind(root)).toBe('typeorm');
    await withModule(root, async (app) => {
      const source = app.get<{ query(sql: string): Promise<unknown[]> }>(getDataSourceToken('shop'));
      expect(await source.query('SELECT * FROM saga_shop.saga_outbox_shard')).toHaveLength(16);
    });
  });

  it('refuses a name that does not exist, and named ones without a choice', async () => {
    await expect(storageKind(rootWith('shop', { dataSource: 'shopp' }))).rejects.toThrow(
      'the application has not the DataSource "shopp"',
    );
    await expect(storageKind(rootWith('shop', {}))).rejects.toThrow(
      /only named DataSources \(shopDataSource\).*storage: 'memory'/,
    );
    expect(await storageKind(rootWith('shop', { storage: 'memory' }))).toBe('memory');
  });

  it('refuses typeorm storage without a DataSource', async () => {
    await expect(boot({ storage: 'typeorm' })).rejects.toThrow(SagazOptionsError);
  });
});
