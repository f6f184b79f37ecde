import { SagaDefinitionError } from '../state/errors.js';
import { buildDefinition } from './build-definition.js';
import type { ActionContext, ProbeResult, ProbingContext, UndoContext } from './context.js';
import type { SagaDefinition } from './saga-definition.js';
import type { CompensationDraft, Handler, SagaDraft, StepDraft } from './saga-draft.js';
import { SAGA_DEFAULTS, type CompensateOptions, type SagaOptions, type StepOptions } from './saga-options.js';
import type { StandardSchema } from './standard-schema.js';

/** Options of `ClassicSaga`: those of `@Saga` but its name. A schema tells what the input is: `Given` by callers, `I` to the steps. */
export interface ClassicSagaOptions<I = unknown, Given = I> extends Omit<SagaOptions, 'name' | 'input'> {
  /**
   * A schema of zod, valibot, arktype or any other library that follows Standard Schema. Input is checked by it before
   * anything is stored, and what it returns is what the steps see. Default: anything that JSON can hold.
   */
  input?: StandardSchema<Given, I> | undefined;
}

/** The results of a saga that has no step yet. */
// eslint-disable-next-line @typescript-eslint/no-empty-object-type -- `object` would be no record of results
export type NoResults = {};

/** A step of a `ClassicSaga`: `I` is the input, `R` the results of the steps before it, `T` what its action returns. */
export interface ClassicStep<I, R extends object, T, Tx> extends Omit<
  StepOptions<keyof R & string>,
  'name' | 'probe'
> {
  /** Does the work. Write it before `compensation` and `probe`: their types follow from what it returns. */
  readonly action: (context: ActionContext<I, R, Tx>) => T;
  /** Runs when the saga turns back and the effect is there or may be there; must be happy with nothing to undo. */
  readonly compensation?: ((context: UndoContext<I, NoInfer<Awaited<T>>, R, Tx>) => unknown) | undefined;
  /** `after` names steps in any place of the saga. */
  readonly compensationOptions?: CompensateOptions | undefined;
  /**
   * Asks the remote system what became of the action. It is asked before an action that may have happened is run again
   * or undone.
   */
  readonly probe?: ((context: ProbingContext<I, R, Tx>) => Probed<NoInfer<Awaited<T>>>) | undefined;
}

type Probed<T> = ProbeResult<T> | Promise<ProbeResult<T>>;

/**
 * A saga written as a chain of calls instead of a class. Each call returns a new builder, so a beginning can be shared.
 * Without any `dependsOn`, steps run in the order they are written; with one, the graph alone decides.
 */
export class ClassicSaga<I = unknown, R extends object = NoResults, Tx = unknown, Given = I> {
  private draft: SagaDraft;

  /** @param name unique in the application together with `version`; never change it while sagas are stored */
  constructor(
    name: string,
    { version = 1, input, retired = false, ...options }: ClassicSagaOptions<I, Given> = {},
  ) {
    const place = `ClassicSaga "${name}"`;
    this.draft = { name, version, place, retired, input, options, steps: [], compensations: [] };
  }

  /** The same saga with one more step. */
  step<N extends string, T>(
    name: N,
    step: ClassicStep<I, R, T, Tx>,
  ): ClassicSaga<I, R & { readonly [K in N]: Awaited<T> }, Tx, Given> {
    const { steps, compensations } = this.draft;
    const place = `${this.draft.place} step "${name}"`;
    const next = new ClassicSaga<I, R & { readonly [K in N]: Awaited<T> }, Tx, Given>(this.draft.name);
    next.draft = {
      ...this.draft,
      steps: [...steps, stepDraft(name, place, step)],
      compensations: [...compensations, ...compensationDraft(name, place, step)],
    };
    return next;
  }

  /** The definition, to be given to `SagazModule.forFeature` or `orchestrator.register`. @throws SagaDefinitionError with every fault */
  build(): SagaDefinition<Given, R> {
    const { definition, faults } = buildDefinition(this.draft, SAGA_DEFAULTS);
    if (!definition) throw new SagaDefinitionError(faults);
    return definition as SagaDefinition<Given, R>;
  }
}

function stepDraft<I, R extends object, T, Tx>(
  name: string,
  place: string,
  step: ClassicStep<I, R, T, Tx>,
): StepDraft {
  const { action, probe, compensation: _, compensationOptions: __, dependsOn, ...options } = step;
  return {
    name,
    dependsOn: dependsOn && [...dependsOn],
    options,
    handler: action as Handler,
    probe: probe as Handler | undefined,
    place,
    foreign: false,
  };
}

function compensationDraft<I, R extends object, T, Tx>(
  step: string,
  place: string,
  { compensation, compensationOptions }: ClassicStep<I, R, T, Tx>,
): CompensationDraft[] {
  if (compensation === undefined && compensationOptions === undefined) return [];
  const { after, ...options } = compensationOptions ?? {};
  const handler = compensation as Handler;
  return [{ step, after: after && [...after], options, handler, place: `${place}.compensation` }];
}
