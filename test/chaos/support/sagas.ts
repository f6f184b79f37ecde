import { setTimeout as sleep } from 'node:timers/promises';
import type { CompensationContext, SagaContext } from '../../../lib/index.js';
import { NoEffectError } from '../../../lib/saga/state/errors.js';
import type { SagaDefinition } from '../../../lib/saga/definition/saga-definition.js';
import { testSaga, type TestStep } from '../../support/saga-process.js';
import { noting, type Ledger } from './ledger.js';
import { SHAPES, TIMES, type Faults, type Shape, type ShapeStep } from './scenarios.js';

export interface ChaosInput extends Record<string, unknown> {
  readonly faults: Faults;
  /** Milliseconds that a handler takes. */
  readonly pace: number;
}

/** One saga for each shape, whose handlers do what their input says; or hang before they have done anything. */
export function chaosSagas(
  ledger: Ledger,
  { hang = false, maxAttempts = 2 }: Conduct = {},
): readonly SagaDefinition[] {
  return Object.entries<Shape>(SHAPES).map(([name, shape]) => {
    const steps = Object.entries(shape).map(([step, how]) => [step, chaosStep(how, ledger, hang)]);
    return testSaga(Object.fromEntries(steps) as Record<string, TestStep>, quick(maxAttempts), name);
  });
}

/** How the handlers and retries of one process are. */
export interface Conduct {
  readonly hang?: boolean;
  readonly maxAttempts?: number;
}

const quick = (maxAttempts: number) => ({
  ...TIMES,
  retry: { maxAttempts, initialInterval: 10, maxInterval: 100 },
  compensationRetry: { maxAttempts: 3, initialInterval: 10 },
});

function chaosStep(how: ShapeStep, ledger: Ledger, hang: boolean): TestStep {
  const { after, transactional = false, publishes, pivot = false, forwardOnly } = how;
  const effect = (ctx: SagaContext | CompensationContext) =>
    transactional ? ctx.manager.query(...noting(ctx)) : ledger.note(ctx);
  return {
    ...{ dependsOn: after, transactional, pivot },
    run: async (ctx) => {
      const { faults, pace } = ctx.input as ChaosInput;
      const fault = faults.actions?.[ctx.step];
      await ledger.called(ctx);
      if (hang) await new Promise(() => undefined);
      if (publishes) await ctx.publish({ type: `${ctx.step}.done`, payload: { sagaId: ctx.sagaId } });
      if (fault === 'clean') throw new NoEffectError('refused');
      if (fault === 'twice' && ctx.attempt <= 2) throw new Error('not yet');
      if (pace > 0) await sleep(pace);
      // A failure that comes too late is not heard of (guarantees.md), so it must not come after a late effect.
      if (fault === 'unknown') ctx.signal.throwIfAborted();
      await effect(ctx);
      if (fault === 'unknown') throw new Error('no answer');
      return ctx.step;
    },
    // Without it a pivot that a crash has left unknown would be tried for ever.
    ...(pivot && { probe: (ctx) => ledger.probe(ctx.sagaId, ctx.step) }),
    ...(!pivot &&
      !forwardOnly && {
        undo: async (ctx: CompensationContext<Record<string, unknown>>) => {
          const { faults } = ctx.input as ChaosInput;
          const fault = faults.undos?.[ctx.step];
          await ledger.called(ctx);
          if (fault === 'always' || (fault === 'once' && ctx.attempt === 1))
            throw new Error('cannot be undone');
          await effect(ctx);
        },
      }),
  };
}
