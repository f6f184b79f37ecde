import type { Duration } from '../../runtime/duration.js';
import { bool, callable, duration, integer, oneOf, section, text } from '../../runtime/readers.js';
import type { StandardSchema } from './standard-schema.js';
import { retry, type ResolvedRetry, type Retry } from '../retry/retry-policy.js';

/** What becomes of the steps that run beside a step that failed; in no case does a new attempt begin. */
export const FailureStrategy = {
  /** They are aborted at once, and get the settle grace. */
  FAIL_FAST: 'FAIL_FAST',
  /** They may end by themselves. */
  WAIT_ALL: 'WAIT_ALL',
  /** They may end by themselves for as long as the settle grace, and are aborted then. */
  FAIL_FAST_WITH_GRACE: 'FAIL_FAST_WITH_GRACE',
} as const;
export type FailureStrategy = (typeof FailureStrategy)[keyof typeof FailureStrategy];

/** Options of a saga that the module may set for all; narrower ones on `@Saga` and `ClassicSaga` win. */
export interface OwnDefaults {
  /** What becomes of parallel steps when one fails. Default `'FAIL_FAST'`. */
  failureStrategy?: FailureStrategy | undefined;
  /**
   * Limit of the whole saga, counted from its start. Before the pivot it turns back then; after the pivot it only raises
   * an alarm. Default: none.
   */
  timeout?: Duration | undefined;
  /** Steps of one saga that run at once. Default 10. */
  concurrency?: number | undefined;
  /** Limit of one attempt of a step. Default `'30s'`. */
  stepTimeout?: Duration | undefined;
  /** How long an aborted handler may take to settle before its saga goes on. Default `'5s'`. */
  settleGrace?: Duration | undefined;
  /** Default 3 attempts, `'200ms'` x 2 up to `'30s'`, full jitter. */
  retry?: Retry | undefined;
  /** Limit of one attempt of an undo. Default `'30s'`. */
  compensationTimeout?: Duration | undefined;
  /** Default 10 attempts, `'1s'` x 2 up to `'5m'`, full jitter. */
  compensationRetry?: Retry | undefined;
  /** Whether the other undos still run when one has given up. Default `'continue'`. */
  onCompensationFailure?: 'continue' | 'stop' | undefined;
  /** Warnings about a definition refuse the boot. Default false. */
  strict?: boolean | undefined;
}

/** Defaults of all sagas, and limits that are set on the module only. */
export interface SagaDefaults extends OwnDefaults {
  /**
   * Processes in a row that may die while they run a saga, without any of its steps or undos ending in between, before
   * it is parked. From the second one on it runs only while no other such saga runs. Default 5.
   */
  maxClaims?: number | undefined;
  /**
   * How long completed and compensated sagas are kept from their end on; `false`: for ever. Failed and parked ones are
   * always kept. Default `'30d'`.
   */
  retention?: Duration | false | undefined;
  /** How long idempotency keys are kept, at least as long as their saga goes on. Default `'90d'`. */
  keyRetention?: Duration | undefined;
}

/** Options of `@Saga`. */
export interface SagaOptions extends OwnDefaults {
  /** Unique in the application together with `version`; what a running saga is found by, so never change it. */
  name: string;
  /** A whole number from 1; raise it when the steps change while sagas are running. Default 1. */
  version?: number | undefined;
  /**
   * Only the undos of this version are left in the code. Its sagas do not go forward any more: when one is due, it turns
   * back, or is parked if it has reached its pivot. None can be started. Its steps may be deleted. Default false.
   */
  retired?: boolean | undefined;
  /**
   * A schema of zod, valibot, arktype or any other library that follows Standard Schema. Input is checked by it before
   * anything is stored, and what it returns is what the steps see. Default: anything that JSON can hold.
   */
  input?: StandardSchema | undefined;
}

/** Which outcomes of a step call for its undo. */
export type CompensateOn = 'completed' | 'unknown' | 'always';

/** Options of a step, with their defaults. */
export interface StepOptions<K extends string = string> {
  /** Default: the name of the method. */
  name?: string | undefined;
  /** Steps that must be completed first. Without any in the class, steps run in the order they are written. */
  dependsOn?: readonly K[] | undefined;
  /** Business rows, journal entry and events commit in one transaction, `ctx.manager`. Default false. */
  transactional?: boolean | undefined;
  /** The point of no return: once completed, the saga only goes forward. Default false. */
  pivot?: boolean | undefined;
  /** Has no effect, so it needs no undo. Default false. */
  readOnly?: boolean | undefined;
  /** Limit of one attempt. Default: `stepTimeout` of the saga. */
  timeout?: Duration | undefined;
  /** Default: `retry` of the saga. */
  retry?: Retry | undefined;
  /** `'unknown'`: when the effect is there or may be there (default); `'completed'`: only when it is there; `'always'`: also after a known failure. */
  compensateOn?: CompensateOn | undefined;
  /**
   * Name of a method of the same provider that asks the remote system what became of the action. It is asked before an
   * action that may have happened is run again or undone.
   */
  probe?: string | undefined;
  /** The step starts so long after the steps it depends on are completed; nothing is held meanwhile. Default: at once. */
  delay?: Duration | undefined;
  /**
   * The step waits for the signal of this name, and starts with `ctx.signalPayload`. Nothing is held meanwhile. A signal
   * that came before the step waits counts; each signal starts one step.
   */
  waitFor?: string | undefined;
  /** Limit of that wait: then the step fails with WaitTimeoutError, without an effect. Default: none, with a warning at boot. */
  waitTimeout?: Duration | undefined;
  /** True for errors of which you know that nothing happened. */
  noEffectOn?: ((error: unknown) => boolean) | undefined;
}

export interface CompensateOptions<K extends string = string> {
  /**
   * Steps whose undos must have ended before this one starts. Replaces the derived order, which is the reverse of the
   * steps.
   */
  after?: readonly K[] | undefined;
  /** Limit of one attempt. Default: `compensationTimeout` of the saga. */
  timeout?: Duration | undefined;
  /** Default: `compensationRetry` of the saga. */
  retry?: Retry | undefined;
}

export interface ResolvedSagaDefaults {
  readonly failureStrategy: FailureStrategy;
  readonly timeout: number | undefined;
  readonly concurrency: number;
  readonly stepTimeout: number;
  readonly settleGrace: number;
  readonly retry: ResolvedRetry;
  readonly compensationTimeout: number;
  readonly compensationRetry: ResolvedRetry;
  readonly onCompensationFailure: 'continue' | 'stop';
  readonly strict: boolean;
}

const NO_LIMITS = { maxElapsed: undefined, retryIf: undefined };

export const SAGA_DEFAULTS: ResolvedSagaDefaults = {
  failureStrategy: 'FAIL_FAST',
  timeout: undefined,
  concurrency: 10,
  stepTimeout: 30_000,
  settleGrace: 5_000,
  retry: {
    maxAttempts: 3,
    initialInterval: 200,
    multiplier: 2,
    maxInterval: 30_000,
    jitter: 'full',
    ...NO_LIMITS,
  },
  compensationTimeout: 30_000,
  compensationRetry: {
    maxAttempts: 10,
    initialInterval: 1_000,
    multiplier: 2,
    maxInterval: 300_000,
    jitter: 'full',
    ...NO_LIMITS,
  },
  onCompensationFailure: 'continue',
  strict: false,
};

/** Readers of the options that sagas share with the module. */
export function sagaFields(defaults: ResolvedSagaDefaults) {
  return {
    failureStrategy: oneOf(Object.values(FailureStrategy), defaults.failureStrategy),
    timeout: duration(defaults.timeout, { min: 1 }),
    concurrency: integer(defaults.concurrency),
    stepTimeout: duration(defaults.stepTimeout, { min: 1 }),
    settleGrace: duration(defaults.settleGrace),
    retry: retry(defaults.retry),
    compensationTimeout: duration(defaults.compensationTimeout, { min: 1 }),
    compensationRetry: retry(defaults.compensationRetry),
    onCompensationFailure: oneOf(['continue', 'stop'], defaults.onCompensationFailure),
    strict: bool(defaults.strict),
  };
}

/** Reads the options of one step; `name`, `saga` and `dependsOn` are the definition's own business. */
export function stepOptions(defaults: ResolvedSagaDefaults) {
  return section({
    transactional: bool(false),
    pivot: bool(false),
    readOnly: bool(false),
    timeout: duration(defaults.stepTimeout, { min: 1 }),
    retry: retry(defaults.retry),
    compensateOn: oneOf(['completed', 'unknown', 'always'], 'unknown'),
    delay: duration(undefined, { min: 1 }),
    waitFor: text(),
    waitTimeout: duration(undefined, { min: 1 }),
    noEffectOn: callable<(error: unknown) => boolean>(),
  });
}

export function compensationOptions(defaults: ResolvedSagaDefaults) {
  return section({
    timeout: duration(defaults.compensationTimeout, { min: 1 }),
    retry: retry(defaults.compensationRetry),
  });
}

export type ResolvedStepOptions = ReturnType<ReturnType<typeof stepOptions>>;
export type ResolvedCompensateOptions = ReturnType<ReturnType<typeof compensationOptions>>;
