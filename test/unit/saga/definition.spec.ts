import { Injectable, Module, Scope, type Type } from '@nestjs/common';
import { DiscoveryModule, DiscoveryService, MetadataScanner } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { Compensate } from '../../../lib/decorators/compensate.decorator.js';
import { SagaStep } from '../../../lib/decorators/saga-step.decorator.js';
import { Saga } from '../../../lib/decorators/saga.decorator.js';
import { exploreSagas } from '../../../lib/discovery/saga-explorer.js';
import { buildDefinition } from '../../../lib/saga/definition/build-definition.js';
import type { SagaDefinition } from '../../../lib/saga/definition/saga-definition.js';
import type { SagaDraft, StepDraft } from '../../../lib/saga/definition/saga-draft.js';
import { SAGA_DEFAULTS } from '../../../lib/saga/definition/saga-options.js';
import { SagaRegistry } from '../../../lib/saga/definition/saga-registry.js';
import { findCycle, StepGraph } from '../../../lib/saga/definition/step-graph.js';
import {
  SagaDefinitionError,
  SagaNotFoundError,
  type DefinitionFault,
} from '../../../lib/saga/state/errors.js';
import type { ProbeResult } from '../../../lib/saga/definition/context.js';
import type { CompensationContext, ProbeContext, SagaContext } from '../../../lib/typeorm-alias.js';
import { MemoryLog } from '../../support/memory-log.js';
import { draftOf, saga, type TestStep, type TestSteps } from '../../support/saga-world.js';

const nothing = () => undefined;

function build(steps: TestSteps, options: object = {}) {
  return buildDefinition(draftOf(steps, options), SAGA_DEFAULTS);
}

function step(name: string, more: Partial<StepDraft> = {}): StepDraft {
  return {
    name,
    dependsOn: undefined,
    options: {},
    handler: nothing,
    probe: undefined,
    place: `Trip.${name}`,
    foreign: false,
    ...more,
  };
}

function draft(steps: readonly StepDraft[], more: Partial<SagaDraft> = {}): SagaDraft {
  return { name: 'trip', version: 1, place: 'Trip', options: {}, steps, compensations: [], ...more };
}

describe('StepGraph', () => {
  const graph = new StepGraph(
    [
      { name: 'hotel', dependsOn: [] },
      { name: 'flight', dependsOn: [] },
      { name: 'pay', dependsOn: ['hotel', 'flight'] },
      { name: 'ticket', dependsOn: ['pay'] },
      { name: 'mail', dependsOn: ['ticket', 'hotel'] },
    ],
    'pay',
  );

  it('knows what must come first, near and far', () => {
    expect(graph.names).toEqual(['hotel', 'flight', 'pay', 'ticket', 'mail']);
    expect(graph.dependencies('mail')).toEqual(['ticket', 'hotel']);
    expect(graph.ancestors('mail')).toEqual(new Set(['ticket', 'pay', 'hotel', 'flight']));
    expect(graph.ancestors('hotel')).toEqual(new Set());
  });

  it('knows what comes later, near and far', () => {
    expect(graph.descendants('flight')).toEqual(new Set(['pay', 'ticket', 'mail']));
    expect(graph.descendants('mail')).toEqual(new Set());
  });

  it('knows which side of the pivot a step stands on', () => {
    expect(graph.names.map((name) => graph.phase(name))).toEqual([
      'before',
      'before',
      'pivot',
      'after',
      'after',
    ]);
    const without = new StepGraph([{ name: 'hotel', dependsOn: [] }], undefined);
    expect(without.phase('hotel')).toBe('before');
  });

  it('finds a way round in a circle, and none where there is none', () => {
    const nodes = (edges: Record<string, string[]>) =>
      Object.entries(edges).map(([name, dependsOn]) => ({ name, dependsOn }));
    expect(findCycle(nodes({ a: ['b'], b: ['c'], c: ['b'] }))).toEqual(['b', 'c', 'b']);
    expect(findCycle(nodes({ a: ['a'] }))).toEqual(['a', 'a']);
    expect(findCycle(nodes({ a: [], b: ['a'], c: ['a', 'b'], d: ['elsewhere'] }))).toBeUndefined();
  });
});

describe('buildDefinition', () => {
  it('runs steps in the order they are written when none names another', () => {
    const { definition } = build({ hotel: { undo: nothing }, flight: { undo: nothing }, mail: {} });
    expect(definition?.steps.get('hotel')?.dependsOn).toEqual([]);
    expect(definition?.steps.get('flight')?.dependsOn).toEqual(['hotel']);
    expect(definition?.steps.get('mail')?.dependsOn).toEqual(['flight']);
  });

  it('lets the graph alone decide as soon as one step names another, or says that it needs none', () => {
    const one = build({ hotel: {}, flight: {}, mail: { dependsOn: ['hotel'] } }).definition;
    expect(one?.steps.get('flight')?.dependsOn).toEqual([]);
    const empty = build({ hotel: { dependsOn: [] }, flight: {} }).definition;
    expect(empty?.steps.get('flight')?.dependsOn).toEqual([]);
  });

  it('keeps the written order of a class beside steps on other providers', () => {
    const steps = [step('hotel'), step('label', { foreign: true, dependsOn: ['hotel'] }), step('flight')];
    const { definition } = buildDefinition(draft(steps), SAGA_DEFAULTS);
    expect(definition?.steps.get('flight')?.dependsOn).toEqual(['hotel']);
    expect(definition?.steps.get('label')?.dependsOn).toEqual(['hotel']);
  });

  it('gives steps and undos what the saga and the module say where they say nothing', () => {
    const definition = saga(
      {
        hotel: { undo: nothing, undoOptions: { retry: 2 } },
        mail: { timeout: '1s', retry: { jitter: 'full' } },
      },
      { stepTimeout: '7s', compensationTimeout: '8s', retry: 5, compensationRetry: false },
    );
    const { hotel, mail } = Object.fromEntries(definition.steps);
    expect(hotel).toMatchObject({
      ...{ timeout: 7_000, transactional: false, pivot: false, readOnly: false, compensateOn: 'unknown' },
      retry: { maxAttempts: 5, initialInterval: 200 },
      compensation: { timeout: 8_000, retry: { maxAttempts: 2 }, place: 'Trip.undo hotel' },
    });
    expect(mail).toMatchObject({
      timeout: 1_000,
      retry: { maxAttempts: 5, jitter: 'full' },
      compensation: undefined,
    });
  });

  it('is immutable', () => {
    const definition = saga({ hotel: { undo: nothing } });
    const hotel = definition.steps.get('hotel');
    for (const part of [definition, definition.options, hotel, hotel?.compensation])
      expect(Object.isFrozen(part)).toBe(true);
  });

  const withPivot = { undo: nothing, pivot: true };

  it.each<[string, TestSteps, DefinitionFault[]]>([
    ['NO_STEPS', {}, [{ kind: 'NO_STEPS', message: 'Trip: saga "trip" has no step' }]],
    [
      'UNKNOWN_DEPENDENCY',
      { hotel: {}, mail: { dependsOn: ['hotle', 'elsewhere'] } },
      [
        {
          kind: 'UNKNOWN_DEPENDENCY',
          message: 'Trip.mail: dependsOn names "hotle", which is no step of this saga; did you mean "hotel"?',
        },
        {
          kind: 'UNKNOWN_DEPENDENCY',
          message: 'Trip.mail: dependsOn names "elsewhere", which is no step of this saga',
        },
      ],
    ],
    [
      'CYCLE',
      { hotel: { dependsOn: ['mail'] }, flight: { dependsOn: ['hotel'] }, mail: { dependsOn: ['flight'] } },
      [
        {
          kind: 'CYCLE',
          message:
            'Trip: the steps wait for each other: Trip.hotel -> Trip.mail -> Trip.flight -> Trip.hotel',
        },
      ],
    ],
    [
      'SEVERAL_PIVOTS',
      { pay: { pivot: true }, ship: { pivot: true } },
      [{ kind: 'SEVERAL_PIVOTS', message: 'Trip.ship: the saga has a pivot already, at Trip.pay' }],
    ],
    [
      'COMPENSATION_ON_PIVOT',
      { pay: withPivot },
      [
        {
          kind: 'COMPENSATION_ON_PIVOT',
          message: 'Trip.undo pay: a pivot is never undone, "pay" can have no compensation',
        },
      ],
    ],
    [
      'BESIDE_PIVOT',
      {
        hotel: { undo: nothing },
        pay: { pivot: true, dependsOn: ['hotel'] },
        mail: { dependsOn: ['hotel'] },
      },
      [
        {
          kind: 'BESIDE_PIVOT',
          message: 'Trip.mail: must be before or after the pivot "pay", not beside it; add a dependsOn',
        },
      ],
    ],
    [
      'INVALID_OPTION',
      {
        hotel: { timeout: '5 s', undo: nothing, undoOptions: { retry: 0 } },
        mail: { compensateOn: 'never' as 'always' },
      },
      [
        {
          kind: 'INVALID_OPTION',
          message: 'Trip.undo hotel.retry.maxAttempts: expected a whole number of at least 1, got 0',
        },
        {
          kind: 'INVALID_OPTION',
          message: `Trip.hotel.timeout: expected a duration such as 250, '250ms', '5s', '10m', '1h' or '7d', got '5 s'`,
        },
        {
          kind: 'INVALID_OPTION',
          message: `Trip.mail.compensateOn: expected one of 'completed', 'unknown', 'always', got 'never'`,
        },
      ],
    ],
  ])('refuses %s and names class and method', (_kind, steps, faults) => {
    expect(build(steps)).toEqual({ definition: undefined, faults, warnings: [] });
  });

  it.each<[string, TestStep['retry']]>([
    ['false', false],
    ['1', 1],
    ['{ maxAttempts: 1 }', { maxAttempts: 1, initialInterval: '1s' }],
  ])('refuses retry: %s after the pivot, where steps are retried until they succeed', (_text, retry) => {
    const { faults } = build({ pay: { pivot: true }, mail: { retry }, post: { retry } });
    expect(faults).toMatchObject([
      {
        kind: 'NOT_RETRIABLE_AFTER_PIVOT',
        message: expect.stringMatching(/^Trip\.mail: after the pivot/) as unknown,
      },
      { kind: 'NOT_RETRIABLE_AFTER_PIVOT', message: expect.stringMatching(/^Trip\.post: /) as unknown },
    ]);
  });

  it('allows one attempt elsewhere: before the pivot, at it, as the default of the saga, without a pivot', () => {
    const before = { hotel: { undo: nothing, retry: false }, pay: { pivot: true, retry: 1 } } as const;
    expect(build({ ...before, mail: {}, post: { retry: 2 } }, { retry: false }).faults).toEqual([]);
    expect(build({ hotel: { undo: nothing }, mail: { retry: false } }).faults).toEqual([]);
  });

  it('refuses two steps of one name, naming both', () => {
    const steps = [step('hotel'), step('hotel', { place: 'Lodging.hotel', foreign: true, dependsOn: [] })];
    expect(buildDefinition(draft(steps), SAGA_DEFAULTS).faults).toEqual([
      {
        kind: 'DUPLICATE_STEP',
        message: 'Lodging.hotel: saga "trip" has the step "hotel" already, at Trip.hotel',
      },
    ]);
  });

  it('refuses a step on another provider that does not say where it stands', () => {
    const { faults } = buildDefinition(draft([step('hotel', { foreign: true })]), SAGA_DEFAULTS);
    expect(faults).toMatchObject([
      { kind: 'MISSING_DEPENDS_ON', message: expect.stringMatching(/^Trip\.hotel: /) as unknown },
    ]);
  });

  it('refuses an undo without a step and a second undo of one step', () => {
    const undo = (of: string, place: string) => ({ step: of, options: {}, handler: nothing, place });
    const compensations = [
      undo('hotel', 'Trip.leave'),
      undo('hotle', 'Trip.go'),
      undo('hotel', 'Lodging.leave'),
    ];
    const { faults } = buildDefinition(draft([step('hotel')], { compensations }), SAGA_DEFAULTS);
    expect(faults).toEqual([
      {
        kind: 'COMPENSATION_WITHOUT_STEP',
        message: 'Trip.go: saga "trip" has no step "hotle"; did you mean "hotel"?',
      },
      {
        kind: 'DUPLICATE_COMPENSATION',
        message: 'Lodging.leave: the step "hotel" has a compensation already, at Trip.leave',
      },
    ]);
  });

  it('lists faults of every kind at once', () => {
    const steps = {
      hotel: { retry: -1 },
      flight: { dependsOn: ['hotle'], timeout: 0 },
      rail: { dependsOn: ['rail'] },
    };
    const { faults } = build(steps, { concurency: 1 });
    expect(faults.map(({ kind }) => kind).sort()).toEqual([
      ...['CYCLE', 'INVALID_OPTION', 'INVALID_OPTION', 'INVALID_OPTION', 'UNKNOWN_DEPENDENCY'],
    ]);
  });

  it('lists a fault of the pivot beside a wrong option', () => {
    const { faults } = build({ pay: { pivot: true, timeout: 0 }, ship: { pivot: true } });
    expect(faults.map(({ kind }) => kind).sort()).toEqual(['INVALID_OPTION', 'SEVERAL_PIVOTS']);
  });

  describe('with a step that nothing undoes', () => {
    const forgetful = { hotel: {}, look: { readOnly: true }, pay: { pivot: true }, mail: {}, post: {} };
    const missing = {
      kind: 'MISSING_COMPENSATION',
      message:
        'Trip.hotel: a later step may fail and nothing undoes "hotel"; give it a compensation or readOnly: true',
    };

    it('warns, but not of a step that only reads, of the pivot, or of what is after it', () => {
      expect(build(forgetful)).toMatchObject({
        definition: { name: 'trip' },
        faults: [],
        warnings: [missing],
      });
    });

    it('does not warn of the last step, after which nothing can fail', () => {
      expect(build({ hotel: { undo: nothing }, mail: {} }).warnings).toEqual([]);
    });

    it('refuses it when strict, with the other faults', () => {
      expect(build(forgetful, { strict: true })).toEqual({
        definition: undefined,
        faults: [missing],
        warnings: [],
      });
      const kinds = build(
        { ...forgetful, beside: { dependsOn: [] }, post: { dependsOn: ['pay'] } },
        { strict: true },
      ).faults;
      expect(new Set(kinds.map(({ kind }) => kind))).toEqual(
        new Set(['BESIDE_PIVOT', 'MISSING_COMPENSATION']),
      );
    });
  });
});

describe('SagaRegistry', () => {
  class TripSaga {}
  class OldTripSaga {}
  const registry = new SagaRegistry();
  const [first, second] = [1, 2].map((version) => ({ ...saga({ hotel: {} }), version })) as [
    SagaDefinition,
    SagaDefinition,
  ];
  registry.add(second, TripSaga);
  registry.add(first, OldTripSaga);

  it('finds a saga by class, by definition, and by name the newest', () => {
    expect(registry.resolve(TripSaga)).toBe(second);
    expect(registry.resolve(OldTripSaga)).toBe(first);
    expect(registry.resolve(first)).toBe(first);
    expect(registry.resolve('trip')).toBe(second);
  });

  it('finds the version that is asked for', () => {
    expect(registry.resolve('trip', 1)).toBe(first);
    expect(registry.resolve(TripSaga, 1)).toBe(first);
    expect(registry.versions()).toEqual([
      { name: 'trip', version: 2, hash: second.hash },
      { name: 'trip', version: 1, hash: first.hash },
    ]);
  });

  it.each<[unknown, number | undefined, string]>([
    ['tripp', undefined, 'saga "tripp" is not registered in this process; did you mean "trip"?'],
    ['trip', 3, 'saga "trip" version 3 is not registered in this process; did you mean "trip"?'],
    [TripSaga, 3, 'TripSaga is no registered saga'],
    [
      Map,
      undefined,
      'Map is no registered saga; decorate it with @Saga and add it to the providers of a module',
    ],
  ])('says what is missing: %p', (ref, version, message) => {
    expect(() => registry.resolve(ref, version)).toThrow(SagaNotFoundError);
    expect(() => registry.resolve(ref, version)).toThrow(message);
  });
});

interface TripInput {
  readonly city: string;
}
type Ctx = SagaContext<TripInput>;

describe('exploreSagas', () => {
  async function explore(
    providers: readonly Type<object>[],
    modules: readonly Type<object>[] = [],
    defaults = SAGA_DEFAULTS,
  ) {
    const app = await Test.createTestingModule({
      imports: [DiscoveryModule, ...modules],
      providers: [...providers],
    }).compile();
    const registry = new SagaRegistry(defaults);
    const log = new MemoryLog();
    const [discovery, scanner] = [app.get(DiscoveryService), app.get(MetadataScanner)];
    const faults = (): readonly DefinitionFault[] => {
      try {
        exploreSagas({ discovery, scanner, registry, log });
        return [];
      } catch (error) {
        if (error instanceof SagaDefinitionError) return error.faults;
        throw error;
      }
    };
    return { faults: faults(), registry, log };
  }

  @Saga({ name: 'trip', stepTimeout: '3s' })
  class TripSaga {
    private readonly city = 'Oslo';

    get broken(): string {
      throw new Error('a getter must not be touched');
    }

    @SagaStep({ retry: 4 })
    hotel(ctx: Ctx) {
      return `${ctx.input.city}/${this.city}`;
    }

    @Compensate('hotel')
    leave(_ctx: CompensationContext<TripInput, string>) {
      return undefined;
    }

    @SagaStep({ name: 'fly' })
    flight(_ctx: Ctx) {
      return 1;
    }
  }

  @Injectable()
  class Carrier {
    @SagaStep({ saga: TripSaga, dependsOn: ['fly'] })
    label(_ctx: Ctx) {
      return undefined;
    }

    @Compensate('fly', { saga: 'trip' })
    land(_ctx: CompensationContext<TripInput, number>) {
      return undefined;
    }
  }

  it('joins the decorated methods of all providers, bound to their instances', async () => {
    const { faults, registry, log } = await explore([Carrier, TripSaga]);
    expect(faults).toEqual([]);
    expect(log.lines).toEqual([]);
    const definition = registry.resolve(TripSaga);
    expect([...definition.graph.names].sort()).toEqual(['fly', 'hotel', 'label']);
    const { hotel, fly, label } = Object.fromEntries(definition.steps);
    expect(hotel).toMatchObject({ place: 'TripSaga.hotel', timeout: 3_000, retry: { maxAttempts: 4 } });
    expect(hotel?.handler({ input: { city: 'Bergen' } })).toBe('Bergen/Oslo');
    expect(hotel?.compensation?.place).toBe('TripSaga.leave');
    expect(fly).toMatchObject({
      place: 'TripSaga.flight',
      dependsOn: ['hotel'],
      compensation: { place: 'Carrier.land' },
    });
    expect(label).toMatchObject({ place: 'Carrier.label', dependsOn: ['fly'] });
  });

  it('binds a probe to the provider of its step', async () => {
    @Saga({ name: 'probed' })
    class ProbedSaga {
      private readonly shop = 'shop';

      @SagaStep({ probe: 'wasCharged' })
      charge(_ctx: Ctx) {
        return 'receipt 7';
      }

      wasCharged(ctx: ProbeContext<TripInput>): ProbeResult<string> {
        return { outcome: 'completed', result: `${this.shop} of ${ctx.input.city}` };
      }
    }
    const { faults, registry } = await explore([ProbedSaga]);
    expect(faults).toEqual([]);
    const { charge } = Object.fromEntries(registry.resolve(ProbedSaga).steps);
    expect(charge?.probe?.({ input: { city: 'Oslo' } })).toEqual({
      outcome: 'completed',
      result: 'shop of Oslo',
    });
  });

  it('refuses a probe that is no method beside its step, on the saga and on another provider', async () => {
    @Injectable()
    class Charger {
      @SagaStep({ saga: TripSaga, dependsOn: [], probe: 'hotel' })
      charge(_ctx: Ctx) {
        return 1;
      }
    }
    @Saga({ name: 'probed' })
    class ProbedSaga {
      @SagaStep({ probe: 'wasCharget' })
      charge(_ctx: Ctx) {
        return 1;
      }

      wasCharged(): ProbeResult<number> {
        return { outcome: 'unknown' };
      }
    }
    const { faults, registry } = await explore([TripSaga, Charger, ProbedSaga]);
    expect(faults).toEqual(
      expect.arrayContaining([
        {
          kind: 'UNKNOWN_PROBE',
          message: 'Charger.charge: probe names "hotel", which is no method of Charger',
        },
        {
          kind: 'UNKNOWN_PROBE',
          message:
            'ProbedSaga.charge: probe names "wasCharget", which is no method of ProbedSaga; did you mean "wasCharged"?',
        },
      ]),
    );
    expect(faults).toHaveLength(2);
    expect(registry.versions()).toEqual([]);
  });

  it('gives a step that names its saga by text to every version of it', async () => {
    @Saga({ name: 'trip', version: 2 })
    class NewTripSaga {
      @SagaStep()
      fly(_ctx: Ctx) {
        return 2;
      }
    }
    const { faults, registry } = await explore([TripSaga, NewTripSaga, Carrier]);
    expect(faults).toEqual([]);
    expect(registry.resolve('trip', 2).steps.get('fly')?.compensation?.place).toBe('Carrier.land');
    expect(registry.resolve('trip', 1).steps.get('fly')?.compensation?.place).toBe('Carrier.land');
  });

  it('logs what is probably wrong, and refuses it when the module is strict', async () => {
    @Saga({ name: 'forgetful' })
    class ForgetfulSaga {
      @SagaStep()
      hotel(_ctx: Ctx) {
        return 1;
      }

      @SagaStep()
      mail(_ctx: Ctx) {
        return 2;
      }
    }
    const { faults, log, registry } = await explore([ForgetfulSaga]);
    expect(faults).toEqual([]);
    expect(log.lines).toEqual([
      expect.stringMatching(/^warn ForgetfulSaga\.hotel: .* \[MISSING_COMPENSATION\]$/),
    ]);
    expect(registry.resolve(ForgetfulSaga).version).toBe(1);
    const strict = await explore([ForgetfulSaga], [], { ...SAGA_DEFAULTS, strict: true });
    expect(strict.faults.map(({ kind }) => kind)).toEqual(['MISSING_COMPENSATION']);
    expect(strict.registry.versions()).toEqual([]);
  });

  it('lists the faults of all sagas at once and registers none', async () => {
    @Saga({ name: 'trip' })
    class OtherTripSaga {
      @SagaStep()
      hotel(_ctx: Ctx) {
        return 1;
      }
    }
    @Saga({ name: '', version: 0 })
    class NamelessSaga {}
    @Injectable()
    class Stray {
      @SagaStep()
      alone(_ctx: Ctx) {
        return 1;
      }

      @Compensate('nowhere', { saga: 'tripp' })
      back(_ctx: CompensationContext) {
        return undefined;
      }

      @SagaStep({ saga: Map, dependsOn: [] })
      lost(_ctx: Ctx) {
        return 1;
      }
    }
    const { faults, registry } = await explore([TripSaga, OtherTripSaga, NamelessSaga, Stray]);
    expect(faults).toEqual(
      expect.arrayContaining([
        {
          kind: 'DUPLICATE_SAGA',
          message:
            'OtherTripSaga: the saga "trip" version 1 is TripSaga already; choose another name or version',
        },
        { kind: 'INVALID_OPTION', message: 'NamelessSaga: a saga needs a name' },
        {
          kind: 'INVALID_OPTION',
          message: 'NamelessSaga: version: expected a whole number of at least 1, got 0',
        },
        { kind: 'NO_STEPS', message: 'NamelessSaga: saga "" has no step' },
        {
          kind: 'UNKNOWN_SAGA',
          message: 'Stray.alone: Stray is no @Saga; name the saga it belongs to: { saga: ... }',
        },
        {
          kind: 'UNKNOWN_SAGA',
          message:
            'Stray.back: the saga "tripp" is not among the providers of this application, nor given to SagazModule.forFeature',
        },
        {
          kind: 'UNKNOWN_SAGA',
          message:
            'Stray.lost: the saga Map is not among the providers of this application, nor given to SagazModule.forFeature',
        },
      ]),
    );
    expect(faults).toHaveLength(7);
    expect(registry.versions()).toEqual([]);
  });

  it('puts every fault of a boot into one message', () => {
    const faults = [
      { kind: 'NO_STEPS', message: 'A: none' },
      { kind: 'CYCLE', message: 'B: round' },
    ] as const;
    expect(new SagaDefinitionError(faults).message).toBe(
      'invalid saga definition:\n  - A: none [NO_STEPS]\n  - B: round [CYCLE]',
    );
  });

  it('refuses a saga that is request-scoped, or transient, or depends on what is', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest {}
    @Saga({ name: 'scoped' })
    class ScopedSaga {
      constructor(readonly request: PerRequest) {}

      @SagaStep()
      hotel(_ctx: Ctx) {
        return 1;
      }
    }
    @Injectable({ scope: Scope.TRANSIENT })
    class Fleeting {
      @Compensate('hotel', { saga: 'scoped' })
      leave(_ctx: CompensationContext) {
        return undefined;
      }
    }
    const { faults } = await explore([PerRequest, ScopedSaga, Fleeting]);
    expect(faults.map(({ kind }) => kind)).toEqual(['NOT_SINGLETON', 'NOT_SINGLETON']);
    expect(faults.map(({ message }) => message.slice(0, message.indexOf(':')))).toEqual([
      'ScopedSaga (hotel)',
      'Fleeting (leave)',
    ]);
  });

  it('tells once that a saga is provided by two modules, and nothing else about it', async () => {
    @Module({ providers: [TripSaga] })
    class North {}
    @Module({ providers: [TripSaga] })
    class South {}
    const { faults } = await explore([], [North, South]);
    expect(faults).toEqual([
      {
        kind: 'DUPLICATE_SAGA',
        message: 'TripSaga is provided by North and by South: provide it once and export it',
      },
    ]);
  });

  it('tells once that a provider with steps is provided by two modules, and nothing else about it', async () => {
    @Module({ providers: [Carrier] })
    class North {}
    @Module({ providers: [Carrier] })
    class South {}
    const { faults } = await explore([TripSaga], [North, South]);
    expect(faults).toEqual([
      {
        kind: 'DUPLICATE_STEP',
        message: 'Carrier is provided by North and by South: provide it once and export it',
      },
    ]);
  });
});
