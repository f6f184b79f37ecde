import 'reflect-metadata';
import { Injectable, Module, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  Compensate,
  NonRetryableError,
  Saga,
  SagaDefinitionError,
  SagaListener,
  SagaOrchestrator,
  SagaStep,
  SagazModule,
  SagazTelemetry,
  type SagaContext,
  type SagaEnded,
  type SagaListenerHooks,
  type SagazEvents,
} from '../../lib/index.js';

interface Trip {
  readonly seats: number;
}

@Saga({ name: 'trip', settleGrace: 10 })
class TripSaga {
  @SagaStep()
  hotel(ctx: SagaContext<Trip>) {
    return ctx.input.seats;
  }

  @Compensate('hotel')
  leave() {
    return undefined;
  }

  @SagaStep({ readOnly: true })
  flight(ctx: SagaContext<Trip>) {
    if (ctx.input.seats > 9) throw new NonRetryableError('full');
  }
}

@Saga({ name: 'other' })
class OtherSaga {
  @SagaStep({ readOnly: true })
  only(_ctx: SagaContext<Trip>) {
    return 1;
  }
}

@SagaListener({ saga: TripSaga })
class Told implements SagaListenerHooks {
  readonly lines: string[] = [];

  onSagaStarted({ saga }: SagazEvents['saga.started']) {
    this.lines.push(`started ${saga}`);
  }

  onStepCompleted({ step, attempt, outcome }: SagazEvents['step.completed']) {
    this.lines.push(`did ${step} (${attempt}, ${outcome})`);
  }

  onStepFailed({ step, code, outcome }: SagazEvents['step.failed']) {
    this.lines.push(`failed ${step} (${code}, ${outcome})`);
  }

  onStepCompensated({ step }: SagazEvents['undo.completed']) {
    this.lines.push(`undid ${step}`);
  }

  onSagaEnded({ status, code }: SagaEnded) {
    this.lines.push(`ended ${status} ${code}`);
  }
}

@SagaListener()
class Broken implements SagaListenerHooks {
  onSagaStarted() {
    throw new Error('listener is broken');
  }

  async onStepCompleted() {
    throw new Error('listener is broken later');
  }

  onStepFailed(): never {
    throw new Error('listener is broken');
  }

  onStepCompensated(): never {
    throw new Error('listener is broken');
  }

  onSagaEnded(): never {
    throw new Error('listener is broken');
  }
}

@SagaListener()
class Deaf {}

@SagaListener({ saga: 'trap' })
@Injectable()
class Lost {
  onSagaEnded() {
    return undefined;
  }
}

const lines: string[] = [];
const log = (message: unknown) => void lines.push(String(message));

async function applicationWith(providers: readonly Type[]) {
  @Module({ imports: [SagazModule.forRoot()], providers: [...providers] })
  class Root {}
  const testing = await Test.createTestingModule({ imports: [Root] })
    .setLogger({ log, warn: log, error: log })
    .compile();
  const app = testing.createNestApplication();
  return { app, init: () => app.init() };
}

describe('@SagaListener', () => {
  afterEach(() => void lines.splice(0));

  it('hears a saga that completes, and one that turns back, in the order of what happens, and no other saga', async () => {
    const { app, init } = await applicationWith([TripSaga, OtherSaga, Told]);
    await init();
    const orchestrator = app.get(SagaOrchestrator);
    const told = app.get(Told).lines;
    await orchestrator.execute(OtherSaga, { seats: 1 });
    await orchestrator.execute(TripSaga, { seats: 2 });
    expect(told.splice(0)).toEqual([
      'started trip',
      'did hotel (1, completed)',
      'did flight (1, completed)',
      'ended completed undefined',
    ]);
    await orchestrator.execute(TripSaga, { seats: 10 });
    expect(told).toEqual([
      'started trip',
      'did hotel (1, completed)',
      'failed flight (SAGAZ_NON_RETRYABLE, unknown)',
      'undid hotel',
      'ended compensated SAGAZ_NON_RETRYABLE',
    ]);
    await app.close();
  });

  it('changes nothing when every hook throws: each error is logged with class and method', async () => {
    const { app, init } = await applicationWith([TripSaga, Broken]);
    await init();
    const orchestrator = app.get(SagaOrchestrator);
    await expect(orchestrator.execute(TripSaga, { seats: 2 })).resolves.toMatchObject({
      status: 'completed',
    });
    await expect(orchestrator.execute(TripSaga, { seats: 10 })).resolves.toMatchObject({
      status: 'compensated',
    });
    await app.close();
    const hooks = ['onSagaStarted', 'onStepCompleted', 'onStepFailed', 'onStepCompensated', 'onSagaEnded'];
    for (const hook of hooks)
      expect(lines).toContainEqual(expect.stringMatching(`Broken.${hook} failed: .*broken`));
  });

  it('does not hear the sagas of another application in the same process', async () => {
    const one = await applicationWith([TripSaga, Told]);
    const two = await applicationWith([TripSaga, Told]);
    await Promise.all([one.init(), two.init()]);
    await one.app.get(SagaOrchestrator).execute(TripSaga, { seats: 2 });
    expect(one.app.get(Told).lines).toHaveLength(4);
    expect(two.app.get(Told).lines).toEqual([]);
    await Promise.all([one.app.close(), two.app.close()]);
  });

  it('refuses to boot without a hook, and for a saga that is not there', async () => {
    const { init } = await applicationWith([TripSaga, Deaf, Lost]);
    const refusal = await init().then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(refusal).toBeInstanceOf(SagaDefinitionError);
    expect(String(refusal)).toMatch(/Deaf: @SagaListener needs a method[^]*Lost: .*"trap" is not registered/);
  });
});

describe('SagazTelemetry', () => {
  it('tells a process of the attempts that fail and are repeated', async () => {
    const heard: string[] = [];
    const end = SagazTelemetry.subscribe('step.retrying', ({ step, attempt, code }) => {
      heard.push(`${step} ${attempt} ${code}`);
    });
    let calls = 0;
    @Saga({ name: 'stubborn', retry: { initialInterval: 1 } })
    class StubbornSaga {
      @SagaStep({ readOnly: true })
      knock(_ctx: SagaContext<Trip>) {
        if (++calls < 3) throw Object.assign(new Error('nobody there'), { code: 'NOBODY' });
      }
    }
    const { app, init } = await applicationWith([StubbornSaga]);
    await init();
    await app.get(SagaOrchestrator).execute(StubbornSaga, { seats: 1 });
    end();
    await app.close();
    expect(heard).toEqual(['knock 1 NOBODY', 'knock 2 NOBODY']);
  });
});
