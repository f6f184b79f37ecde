import fc from 'fast-check';
import type { CompensateOn, FailureStrategy } from '../../../../lib/saga/definition/saga-options.js';

/** Limits of every attempt in the model. */
export const TIMEOUT_MS = 100;
export const GRACE_MS = 50;
export const UNDO_ATTEMPTS = 2;
/** A back-off that no process sits through. */
export const LONG_MS = 6_000;

/** What one attempt does after `ms`: `late` means after the engine has given it up. */
export interface Fault {
  readonly kind: 'ok' | 'error' | 'noEffect' | 'notAgain' | 'lateOk' | 'lateError';
  readonly ms: number;
  /** Whether it has its effect, although it throws. */
  readonly effect: boolean;
}

export interface UndoPlan {
  /** It fails `never`, the first time, or every time. */
  readonly fails: 'never' | 'once' | 'always';
  readonly ms: number;
  readonly long: boolean;
  readonly after: readonly string[] | undefined;
}

export interface StepPlan {
  readonly name: string;
  readonly dependsOn: readonly string[];
  readonly pivot: boolean;
  readonly transactional: boolean;
  readonly readOnly: boolean;
  readonly compensateOn: CompensateOn;
  readonly attempts: number;
  readonly long: boolean;
  /** By attempt; those beyond it succeed at once. */
  readonly script: readonly Fault[];
  readonly undo: UndoPlan | undefined;
}

export interface SagaPlan {
  readonly steps: readonly StepPlan[];
  readonly failureStrategy: FailureStrategy;
  readonly onCompensationFailure: 'continue' | 'stop';
  readonly concurrency: number;
  readonly timeout: number | undefined;
  readonly cancelAt: number | undefined;
}

const usually = <T>(common: T, ...rare: T[]) =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(common) }, { weight: 1, arbitrary: fc.constantFrom(...rare) });

const inTime = fc.constantFrom(0, 1, 5, 20, 99, 120);
/** Milliseconds after the end of the grace. */
const tooLate = fc.constantFrom(1, 5, 30, 300, 7_000, 20_000).map((ms) => TIMEOUT_MS + GRACE_MS + ms);

const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({ kind: fc.constant('ok' as const), ms: inTime, effect: fc.constant(true) }),
  fc.record({ kind: fc.constant('error' as const), ms: inTime, effect: fc.boolean() }),
  fc.record({
    ...{ kind: fc.constant('noEffect' as const), ms: fc.constantFrom(0, 5, 20) },
    effect: fc.constant(false),
  }),
  fc.record({ kind: fc.constant('notAgain' as const), ms: inTime, effect: fc.boolean() }),
  fc.record({ kind: fc.constant('lateOk' as const), ms: tooLate, effect: fc.constant(true) }),
  fc.record({ kind: fc.constant('lateError' as const), ms: tooLate, effect: fc.boolean() }),
);

const ok: Fault = { kind: 'ok', ms: 5, effect: true };

const rawStep = fc.record({
  /** One bit for each earlier step. */
  edges: fc.integer({ min: 0, max: 255 }),
  more: fc.integer({ min: 0, max: 255 }),
  kind: usually<'plain' | 'transactional' | 'readOnly' | 'bare'>(
    'plain',
    'transactional',
    'readOnly',
    'bare',
  ),
  compensateOn: usually<CompensateOn>('unknown', 'completed', 'always'),
  attempts: fc.integer({ min: 1, max: 3 }),
  long: usually(false, true),
  script: fc.oneof(
    { weight: 3, arbitrary: inTime.map((ms) => [{ ...ok, ms }]) },
    { weight: 2, arbitrary: fc.array(fault, { maxLength: 3 }) },
  ),
  undo: fc.record({
    fails: usually<UndoPlan['fails']>('never', 'once', 'always'),
    ...{ ms: fc.constantFrom(0, 5, 30), long: usually(false, true), after: usually(0, 1, 2, 4, 3) },
  }),
});
type RawStep = typeof rawStep extends fc.Arbitrary<infer T> ? T : never;

const chosen = (names: readonly string[], bits: number) => names.filter((_, index) => (bits >> index) & 1);

/** A pivot at `at` makes every other step one before or after it. */
function stepOf(raw: RawStep, index: number, { names, at }: { names: readonly string[]; at: number }) {
  const { edges, more, kind, undo, attempts, ...rest } = raw;
  const earlier = names.slice(0, index);
  const own = chosen(earlier, edges & more);
  const tied =
    index === at ? earlier : index > at && at >= 0 ? [...new Set([...own, names[at] as string])] : own;
  const isAfter = at >= 0 && index > at;
  const pivot = index === at;
  const has = !pivot && (kind === 'plain' || kind === 'transactional');
  // The undo goes last among the earlier steps that it names, so it never waits in a circle of its own making.
  const after = undo.after === 0 ? undefined : chosen(earlier, undo.after);
  return {
    ...rest,
    ...{ name: names[index] as string, dependsOn: tied, pivot, undo: has ? { ...undo, after } : undefined },
    ...{ transactional: kind === 'transactional', readOnly: kind === 'readOnly' },
    attempts: isAfter ? Math.max(2, attempts) : attempts,
  };
}

/** What `after` names must be undone too, and undos must not wait for each other; else the derived order stays. */
function withSoundUndos(steps: readonly StepPlan[]): readonly StepPlan[] {
  let sound: readonly StepPlan[] = steps.map((step) => ({
    ...step,
    undo: step.undo && { ...step.undo, after: undefined },
  }));
  for (const { name, undo } of steps) {
    const after = undo?.after?.filter((other) => steps.some((it) => it.name === other && it.undo));
    if (!after || after.length === 0) continue;
    const next = sound.map((it) =>
      it.name === name && it.undo ? { ...it, undo: { ...it.undo, after } } : it,
    );
    if (![...undoWaits(next)].some(([own, waits]) => waits.has(own))) sound = next;
  }
  return sound;
}

export const sagaPlan: fc.Arbitrary<SagaPlan> = fc
  .record({
    raw: fc.array(rawStep, { minLength: 1, maxLength: 8 }),
    pivotAt: fc.oneof(fc.constant(-1), fc.integer({ min: 0, max: 7 })),
    failureStrategy: fc.constantFrom(
      'FAIL_FAST' as const,
      'WAIT_ALL' as const,
      'FAIL_FAST_WITH_GRACE' as const,
    ),
    onCompensationFailure: fc.constantFrom('continue' as const, 'stop' as const),
    concurrency: fc.oneof(fc.constant(8), fc.integer({ min: 1, max: 8 })),
    timeout: usually<number | undefined>(undefined, 30, 150, 300, 7_000),
    cancelAt: usually<number | undefined>(undefined, 0, 3, 20, 110, 160, 400, 6_200),
  })
  .map(({ raw, pivotAt, ...options }) => {
    const names = raw.map((_, index) => 'abcdefgh'[index] as string);
    const at = pivotAt < raw.length ? pivotAt : -1;
    return {
      ...options,
      steps: withSoundUndos(raw.map((step, index) => stepOf(step, index, { names, at }))),
    };
  });

/** For every undo, all undos that must have ended before it begins: the model's own reading of the rules. */
export function undoWaits(steps: readonly StepPlan[]): ReadonlyMap<string, ReadonlySet<string>> {
  const undoneBy = (name: string): string[] =>
    steps
      .filter(({ dependsOn }) => dependsOn.includes(name))
      .flatMap((next) => (next.undo ? [next.name] : undoneBy(next.name)));
  const own = new Map(steps.map(({ name, undo }) => [name, undo?.after]));
  const direct = (name: string) =>
    own.get(name) ?? undoneBy(name).filter((next) => !own.get(next)?.includes(name));
  const all = (name: string, found = new Set<string>()): Set<string> => {
    for (const earlier of direct(name)) {
      if (found.has(earlier)) continue;
      found.add(earlier);
      all(earlier, found);
    }
    return found;
  };
  return new Map(steps.filter(({ undo }) => undo).map(({ name }) => [name, all(name)]));
}
