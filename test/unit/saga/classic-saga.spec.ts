import { SagaDefinitionError, type DefinitionFault } from '../../../lib/saga/state/errors.js';
import { SagaNotFoundError } from '../../../lib/saga/state/errors.js';
import type { SagaDefinition } from '../../../lib/saga/definition/saga-definition.js';
import { SAGA_DEFAULTS } from '../../../lib/saga/definition/saga-options.js';
import { SagaRegistry } from '../../../lib/saga/definition/saga-registry.js';
import { ClassicSaga, type SagaOrchestrator } from '../../../lib/typeorm-alias.js';
import { processOf, saga, SagaWorld } from '../../support/saga-world.js';

interface Transfer {
  readonly from: string;
  readonly cents: number;
}

const nothing = () => undefined;

function faultsOf(work: () => unknown): readonly DefinitionFault[] {
  try {
    work();
    return [];
  } catch (error) {
    if (error instanceof SagaDefinitionError) return error.faults;
    throw error;
  }
}

describe('ClassicSaga', () => {
  it('makes the definition that a class makes', () => {
    const definition = new ClassicSaga<Transfer>('transfer', { version: 2, stepTimeout: '3s' })
      .step('debit', {
        action: (ctx) => `from ${ctx.input.from}`,
        compensation: nothing,
        compensationOptions: { retry: 2, timeout: '4s' },
        probe: () => ({ outcome: 'unknown' }),
      })
      .step('credit', { action: () => 1, retry: 7, transactional: true })
      .build();
    expect(definition).toMatchObject({ name: 'transfer', version: 2 });
    const { debit, credit } = Object.fromEntries(definition.steps);
    expect(debit).toMatchObject({
      ...{ dependsOn: [], timeout: 3_000, place: 'ClassicSaga "transfer" step "debit"' },
      compensation: { timeout: 4_000, retry: { maxAttempts: 2 } },
    });
    expect(debit?.handler({ input: { from: 'a' } })).toBe('from a');
    expect(debit?.probe?.({})).toEqual({ outcome: 'unknown' });
    expect(credit).toMatchObject({ dependsOn: ['debit'], transactional: true, retry: { maxAttempts: 7 } });
    expect(credit?.compensation).toBeUndefined();
    for (const part of [definition, definition.options, debit, debit?.compensation])
      expect(Object.isFrozen(part)).toBe(true);
  });

  it('lets the graph alone decide as soon as one step names another', () => {
    const { steps } = new ClassicSaga('trip')
      .step('hotel', { action: nothing })
      .step('flight', { action: nothing })
      .step('mail', { action: nothing, dependsOn: ['hotel'] })
      .build();
    expect([...steps.values()].map(({ dependsOn }) => dependsOn)).toEqual([[], [], ['hotel']]);
  });

  it('gives an undo edges of its own, also to a step that is written later', () => {
    const { compensations } = new ClassicSaga('trip')
      .step('hotel', { action: nothing, compensation: nothing, compensationOptions: { after: ['mail'] } })
      .step('flight', { action: nothing, compensation: nothing })
      .step('mail', { action: nothing, compensation: nothing })
      .build();
    expect(compensations.nodes.map(({ step, after }) => [step, after])).toEqual([
      ['hotel', ['mail']],
      ['flight', ['mail']],
      ['mail', []],
    ]);
  });

  it('leaves a shared beginning as it was', () => {
    const beginning = new ClassicSaga('trip').step('hotel', { action: nothing });
    const far = beginning.step('flight', { action: nothing }).build();
    const near = beginning.step('rail', { action: nothing }).step('bus', { action: nothing }).build();
    expect(far.graph.names).toEqual(['hotel', 'flight']);
    expect(near.graph.names).toEqual(['hotel', 'rail', 'bus']);
    expect(beginning.build().graph.names).toEqual(['hotel']);
  });

  it('is not changed by what happens to the arrays it was given', () => {
    const dependsOn: ('hotel' | 'flight')[] = ['hotel'];
    const definition = new ClassicSaga('trip')
      .step('hotel', { action: nothing })
      .step('flight', { action: nothing })
      .step('mail', { action: nothing, dependsOn })
      .build();
    dependsOn.push('flight');
    const registry = new SagaRegistry();
    registry.register([{ draft: definition.draft, source: definition }]);
    expect(registry.resolve('trip').steps.get('mail')?.dependsOn).toEqual(['hotel']);
  });

  it('is refused with every fault when it is built', () => {
    const wrong = { action: 'debit', timeout: '5 s', name: 'pay', compensationOptions: { retry: 0 } };
    const builder = new ClassicSaga('', { version: 0, concurency: 1 } as object)
      .step('debit', wrong as unknown as { action: () => void })
      .step('debit', { action: nothing, dependsOn: ['debit'], probe: 7 as unknown as () => never });
    const place = 'ClassicSaga "" step "debit"';
    expect(faultsOf(() => builder.build()).map(({ kind, message }) => `${kind} ${message}`)).toEqual([
      'INVALID_OPTION ClassicSaga "": unknown option "concurency"; did you mean "concurrency"?',
      `INVALID_OPTION ${place}.compensation.retry.maxAttempts: expected a whole number of at least 1, got 0`,
      `INVALID_OPTION ${place}: unknown option "name"`,
      `INVALID_OPTION ${place}.timeout: expected a duration such as 250, '250ms', '5s', '10m', '1h' or '7d', got '5 s'`,
      'INVALID_OPTION ClassicSaga "": a saga needs a name',
      'INVALID_OPTION ClassicSaga "": version: expected a whole number of at least 1, got 0',
      `INVALID_OPTION ${place}.action: expected a function, got 'debit'`,
      `INVALID_OPTION ${place}.probe: expected a function, got 7`,
      `INVALID_OPTION ${place}.compensation: expected a function, got undefined`,
      `DUPLICATE_STEP ${place}: saga "" has the step "debit" already, at ${place}`,
      `CYCLE ClassicSaga "": the steps wait for each other: ${place} -> ${place}`,
    ]);
    expect(faultsOf(() => new ClassicSaga('trip').build())).toEqual([
      { kind: 'NO_STEPS', message: 'ClassicSaga "trip": saga "trip" has no step' },
    ]);
  });

  it('cannot be told from a class by the engine', async () => {
    const steps = {
      debit: { run: () => 'debited', undo: nothing },
      credit: { run: () => Promise.reject(new Error('closed')), retry: false as const },
    };
    const run = async (definition: SagaDefinition) => {
      const world = new SagaWorld();
      const { error, ...result } = { error: undefined, ...(await world.execute(definition)) };
      return { error, results: result.results, journal: await world.journal(result.sagaId) };
    };
    const quick = { retry: { initialInterval: 10, jitter: 'none' }, compensationRetry: 1 } as const;
    const classic = new ClassicSaga('trip', quick)
      .step('debit', { action: steps.debit.run, compensation: nothing })
      .step('credit', { action: steps.credit.run, retry: false })
      .build();
    const told = await run(classic);
    expect(told).toEqual(await run(saga(steps, quick)));
    expect(told.journal).toEqual([
      'step_completed debit -> credit',
      'step_failed credit',
      'undo_completed debit',
    ]);
  });
});

describe('registration', () => {
  const transfer = (version = 1) =>
    new ClassicSaga<Transfer>('transfer', { version })
      .step('debit', { action: nothing })
      .step('credit', { action: nothing, retry: { maxAttempts: 9 } })
      .build();

  function setUp(defaults = SAGA_DEFAULTS) {
    const registry = new SagaRegistry(defaults);
    const { orchestrator, log } = processOf(new SagaWorld(), registry, 'one');
    return { registry, orchestrator: orchestrator as unknown as SagaOrchestrator, log };
  }

  it('makes the saga anew with the defaults of the module, where it says nothing itself', () => {
    const { registry, orchestrator } = setUp({ ...SAGA_DEFAULTS, stepTimeout: 7, concurrency: 2 });
    const definition = transfer();
    orchestrator.register(definition);
    expect(definition.options.concurrency).toBe(10);
    const registered = registry.resolve(definition);
    expect(registered).toBe(registry.resolve('transfer'));
    expect(registered.options.concurrency).toBe(2);
    expect(registered.steps.get('credit')).toMatchObject({ timeout: 7, retry: { maxAttempts: 9 } });
  });

  it('logs what is probably wrong, and refuses it when the module is strict', () => {
    const { orchestrator, log } = setUp();
    orchestrator.register(transfer());
    const missing = /^warn ClassicSaga "transfer" step "debit": .* \[MISSING_COMPENSATION\]$/;
    expect(log.lines).toEqual([expect.stringMatching(missing)]);
    const strict = setUp({ ...SAGA_DEFAULTS, strict: true });
    expect(faultsOf(() => strict.orchestrator.register(transfer()))).toMatchObject([
      { kind: 'MISSING_COMPENSATION' },
    ]);
    expect(strict.registry.versions()).toEqual([]);
  });

  it('takes the same definition twice, and several versions beside each other', () => {
    const { registry, orchestrator } = setUp();
    const definition = transfer();
    orchestrator.register(definition);
    const registered = registry.resolve(definition);
    orchestrator.register(definition);
    orchestrator.register(transfer(2));
    expect(registry.resolve(definition)).toBe(registered);
    expect(registry.versions().map(({ version }) => version)).toEqual([1, 2]);
  });

  it('refuses two definitions of one name and version', () => {
    const { registry, orchestrator } = setUp();
    const [first, second] = [transfer(), transfer()];
    orchestrator.register(first);
    expect(faultsOf(() => orchestrator.register(second))).toEqual([
      {
        kind: 'DUPLICATE_SAGA',
        message:
          'ClassicSaga "transfer": the saga "transfer" version 1 is another ClassicSaga "transfer" already; choose another name or version',
      },
    ]);
    expect(() => registry.resolve(second)).toThrow(
      new SagaNotFoundError(
        'ClassicSaga "transfer" is not registered in this process; give it to SagazModule.forFeature or orchestrator.register',
      ),
    );
  });

  class TransferSaga {}

  it.each<[string, unknown, string]>([
    ['a class', TransferSaga, 'the class TransferSaga; decorate it with @Saga and add it to the providers'],
    ['a builder', new ClassicSaga('transfer'), 'a builder; call its build() and hand in what that returns'],
    ['a name', 'transfer', "'transfer'; make one with new ClassicSaga(...).step(...).build()"],
    ['nothing', undefined, 'undefined; make one with new ClassicSaga(...).step(...).build()'],
    ['an object', { name: 'transfer' }, 'a value of type Object; make one with new ClassicSaga('],
  ])('refuses %s and says what to do', (_what, value, advice) => {
    const { orchestrator } = setUp();
    const [fault] = faultsOf(() => orchestrator.register(value as SagaDefinition));
    expect(fault?.kind).toBe('INVALID_OPTION');
    expect(fault?.message).toContain(`orchestrator.register: expected a saga definition, got ${advice}`);
  });

  it('says what to do when a builder is executed', async () => {
    const { orchestrator } = setUp();
    const builder = new ClassicSaga('transfer') as unknown as SagaDefinition;
    await expect(orchestrator.execute(builder, {})).rejects.toThrow(
      'expected a saga class, name or definition, got a builder; call its build() and hand in what that returns',
    );
  });
});
