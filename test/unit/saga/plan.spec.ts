import * as fc from 'fast-check';
import { buildDefinition } from '../../../lib/saga/definition/build-definition.js';
import type { SagaDefinition } from '../../../lib/saga/definition/saga-definition.js';
import { SAGA_DEFAULTS, type CompensateOn } from '../../../lib/saga/definition/saga-options.js';
import { planOf } from '../../../lib/saga/definition/saga-plan.js';
import { SagaRegistry } from '../../../lib/saga/definition/saga-registry.js';
import { NoEffectError, SagaNotFoundError } from '../../../lib/saga/state/errors.js';
import { ClassicSaga } from '../../../lib/typeorm-alias.js';
import {
  draftOf,
  processOf,
  saga,
  SagaWorld,
  type TestStep,
  type TestSteps,
} from '../../support/saga-world.js';

const undo = () => undefined;

const trip = saga({
  hotel: { undo },
  flight: { undo },
  look: { readOnly: true, dependsOn: ['hotel'] },
  pay: { pivot: true, dependsOn: ['look', 'flight'] },
  mail: { dependsOn: ['pay'], undo },
  post: { dependsOn: ['pay'] },
});

describe('the plan of a saga', () => {
  it('tells the order of its steps and which may run at the same time', () => {
    expect(planOf(trip)).toMatchObject({
      ...{ sagaName: 'trip', version: 1, pivot: 'pay' },
      order: ['hotel', 'flight', 'look', 'pay', 'mail', 'post'],
      groups: [['hotel', 'flight'], ['look'], ['pay'], ['mail', 'post']],
    });
    expect(planOf(saga({ hotel: {} }))).not.toHaveProperty('pivot');
  });

  it('tells for a failure at each step what is undone, and after the pivot nothing', () => {
    expect(planOf(trip).compensation).toEqual({
      hotel: [['hotel', 'flight']],
      flight: [['hotel', 'flight']],
      look: [['hotel', 'flight']],
      pay: [['hotel', 'flight']],
      mail: [],
      post: [],
    });
  });

  it('undoes the failed step unless it says that it need not be', () => {
    const line = (compensateOn: CompensateOn, transactional = false) => {
      const definition = saga({ hotel: { undo }, flight: { undo, compensateOn, transactional }, mail: {} });
      return planOf(definition).compensation['flight'];
    };
    expect(line('unknown')).toEqual([['flight'], ['hotel']]);
    expect(line('completed')).toEqual([['hotel']]);
    expect(line('always')).toEqual([['flight'], ['hotel']]);
    expect(line('unknown', true)).toEqual([['hotel']]);
    expect(line('always', true)).toEqual([['flight'], ['hotel']]);
  });

  it('lets an undo of its own order wait, also over one that is not needed', () => {
    const definition = saga({
      a: { dependsOn: [], undo, undoOptions: { after: ['c'] } },
      b: { dependsOn: [], undo },
      c: { dependsOn: ['b'], undo, undoOptions: { after: ['b'] } },
    });
    // The undo of a waits for that of b, near and far, although the one between is not needed.
    expect(planOf(definition).compensation).toEqual({
      a: [['b'], ['c'], ['a']],
      b: [['b'], ['a']],
      c: [['b'], ['c'], ['a']],
    });
  });

  it('is drawn, with the pivot as a point of no return', () => {
    const { mermaid, compensationMermaid } = planOf(
      saga({ hotel: { undo }, pay: { pivot: true }, mail: {} }),
    );
    expect(mermaid.split('\n')).toEqual([
      'flowchart LR',
      '  s0["hotel"]',
      '  s1{{"pay"}}',
      '  s2["mail"]',
      '  s0 --> s1',
      '  s1 --> s2',
    ]);
    expect(compensationMermaid.split('\n')).toEqual(['flowchart LR', '  s0["undo hotel"]']);
  });

  it('is asked of the orchestrator by name, definition and version', () => {
    const build = (version: number) =>
      new ClassicSaga('trip', { version }).step(`step ${version}`, { action: undo }).build();
    const [one, two] = [build(1), build(2)];
    const { orchestrator } = processOf(new SagaWorld(), new SagaRegistry(), 'one');
    for (const definition of [one, two]) orchestrator.register(definition);
    expect(orchestrator.plan('trip').order).toEqual(['step 2']);
    expect(orchestrator.plan('trip', { version: 1 }).order).toEqual(['step 1']);
    expect(orchestrator.plan(one)).toEqual(planOf(one));
    expect(() => orchestrator.plan('trip', { version: 3 })).toThrow(SagaNotFoundError);
  });
});

/** A step of a random saga; numbers name other steps. */
interface RandomStep {
  readonly dependsOn: readonly number[];
  readonly compensated: boolean;
  readonly compensateOn: CompensateOn;
  readonly after: readonly number[] | undefined;
  readonly transactional: boolean;
}

interface RandomSaga {
  readonly steps: readonly RandomStep[];
  readonly pivot: number | undefined;
  readonly failing: number;
}

const SIZE = 7;
const numbers = fc.uniqueArray(fc.nat(SIZE - 1), { maxLength: 3 });
const randomStep: fc.Arbitrary<RandomStep> = fc.record({
  dependsOn: numbers,
  compensated: fc.boolean(),
  compensateOn: fc.constantFrom('completed', 'unknown', 'always'),
  after: fc.option(numbers, { freq: 3, nil: undefined }),
  transactional: fc.boolean(),
});
const randomSaga: fc.Arbitrary<RandomSaga> = fc.record({
  steps: fc.array(randomStep, { minLength: 1, maxLength: SIZE }),
  pivot: fc.option(fc.nat(SIZE - 1), { freq: 2, nil: undefined }),
  failing: fc.nat(SIZE - 1),
});

const nameOf = (index: number) => `s${index}`;

/** A step waits only for those written before it; what is not before the pivot is after it. */
function stepsOf(
  { steps, pivot }: RandomSaga,
  more: (name: string) => Partial<TestStep> = () => ({}),
): TestSteps {
  const undone = (index: number) => (steps[index]?.compensated ?? false) && index !== pivot;
  return Object.fromEntries(
    steps.map((step, index) => {
      const earlier = step.dependsOn.filter((other) => other < index);
      const all = [...steps.keys()].slice(0, index);
      const dependsOn = index === pivot ? all : index > (pivot ?? SIZE) ? [...earlier, pivot ?? 0] : earlier;
      const after = step.after?.filter((other) => other !== index && undone(other)).map(nameOf);
      const written: TestStep = {
        dependsOn: [...new Set(dependsOn)].map(nameOf),
        ...{ compensateOn: step.compensateOn, transactional: step.transactional, pivot: index === pivot },
        ...(undone(index) && { undo, ...(after && { undoOptions: { after } }) }),
      };
      const own = more(nameOf(index));
      return [nameOf(index), { ...written, ...own, undo: undone(index) ? (own.undo ?? undo) : undefined }];
    }),
  ) as TestSteps;
}

/** What began at the same moment, moment after moment. */
class Moments {
  private readonly begun = new Map<number, string[]>();

  constructor(private readonly world: SagaWorld) {}

  /** Takes the same time for everybody, so that what began together ends together. */
  async take(name: string): Promise<void> {
    const now = this.world.clock.monotonic();
    this.begun.set(now, [...(this.begun.get(now) ?? []), name]);
    await this.world.clock.delay(10);
  }

  get groups(): readonly (readonly string[])[] {
    return [...this.begun.values()].map((names) => names.sort());
  }
}

const sorted = (groups: readonly (readonly string[])[] | undefined) =>
  groups?.map((names) => [...names].sort());
const free = { concurrency: SIZE, retry: 1 } as const;

describe('the plan and the engine', () => {
  it('agree on which steps run at the same time', async () => {
    await fc.assert(
      fc.asyncProperty(randomSaga, async (random) => {
        const world = new SagaWorld();
        const moments = new Moments(world);
        const steps = stepsOf(random, (name) => ({ run: () => moments.take(name) }));
        const { definition } = buildDefinition(draftOf(steps, free), SAGA_DEFAULTS);
        fc.pre(definition !== undefined);
        await world.execute(definition);
        expect(moments.groups).toEqual(sorted(planOf(definition).groups));
      }),
      { numRuns: 150 },
    );
  });

  it('agree on what a failure undoes, and in which order', async () => {
    await fc.assert(
      fc.asyncProperty(randomSaga, async (random) => {
        const world = new SagaWorld();
        const undos = new Moments(world);
        const failing = nameOf(random.failing % random.steps.length);
        const { definition: shape } = buildDefinition(draftOf(stepsOf(random), free), SAGA_DEFAULTS);
        fc.pre(shape !== undefined && shape.graph.phase(failing) !== 'after');
        const graph = shape.graph;
        const others = new Set(
          graph.names.filter((name) => name !== failing && !graph.descendants(failing).has(name)),
        );
        const fail = async () => {
          // Everything that does not wait for the failing step comes first.
          while (others.size > 0) await world.clock.delay(1);
          await world.clock.delay(1);
          throw graph.phase(failing) === 'pivot' ? new NoEffectError('no') : new Error('no');
        };
        const steps = stepsOf(random, (name) => ({
          run: name === failing ? fail : () => void others.delete(name),
          undo: () => undos.take(name),
        }));
        const { definition } = buildDefinition(draftOf(steps, free), SAGA_DEFAULTS);
        const { status } = await world.execute(definition as SagaDefinition);
        expect(status).toBe('compensated');
        expect(undos.groups).toEqual(sorted(planOf(shape).compensation[failing]));
      }),
      { numRuns: 300 },
    );
  });
});
