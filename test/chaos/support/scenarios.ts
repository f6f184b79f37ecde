/** Milliseconds: short, so that a case takes no longer than its process. */
export const TIMES = { stepTimeout: 500, settleGrace: 50, compensationTimeout: 500 } as const;

/** A step of a shape: what it waits for and how it works. */
export interface ShapeStep {
  readonly after: readonly string[];
  /** Its effect is a row of the main database, in the transaction of the step. Default: one of the ledger. */
  readonly transactional?: true;
  readonly publishes?: true;
  readonly pivot?: true;
  /** Stands behind the pivot. */
  readonly forwardOnly?: true;
}

export type Shape = Readonly<Record<string, ShapeStep>>;

const wide = Object.fromEntries(
  Array.from({ length: 8 }, (_, n): [string, ShapeStep] => [
    `w${n + 1}`,
    n < 2 ? { after: ['s'], transactional: true } : { after: ['s'] },
  ]),
);

export const SHAPES = {
  line: {
    a: { after: [] },
    b: { after: ['a'], transactional: true, publishes: true },
    c: { after: ['b'], publishes: true },
    d: { after: ['c'] },
  },
  diamond: {
    a: { after: [] },
    b: { after: ['a'], transactional: true },
    c: { after: ['a'], publishes: true },
    d: { after: ['b', 'c'] },
  },
  wide: { s: { after: [], publishes: true }, ...wide },
  pivot: {
    a: { after: [] },
    p: { after: ['a'], pivot: true },
    n: { after: ['p'], forwardOnly: true, publishes: true },
  },
} as const satisfies Record<string, Shape>;
export type ShapeName = keyof typeof SHAPES;

/**
 * How handlers misbehave. An action that fails `clean` had no effect and says so; one that fails `unknown` had it and
 * says only that something went wrong; `twice` fails two attempts and then works. An undo fails its first attempt, or
 * all of them.
 */
export interface Faults {
  readonly actions?: Readonly<Record<string, 'clean' | 'unknown' | 'twice'>>;
  readonly undos?: Readonly<Record<string, 'once' | 'always'>>;
}

export interface Scenario {
  readonly name: string;
  readonly shape: ShapeName;
  readonly outcome: 'success' | 'failure at a step' | 'failure in an undo';
  readonly faults: Faults;
}

export const OUTCOMES = ['success', 'failure at a step', 'failure in an undo'] as const;

const SHAPE_NAMES = Object.keys(SHAPES) as readonly ShapeName[];

const successes = SHAPE_NAMES.map((shape): Scenario => ({
  ...{ name: `${shape} completes`, shape, outcome: 'success', faults: {} },
}));

const stepFailures = (
  [
    ['line', 'a', 'unknown'],
    ['line', 'b', 'clean'],
    ['line', 'c', 'clean'],
    ['line', 'd', 'unknown'],
    ['diamond', 'b', 'clean'],
    ['diamond', 'c', 'unknown'],
    ['diamond', 'd', 'clean'],
    ['wide', 'w1', 'clean'],
    ['wide', 'w5', 'clean'],
    ['wide', 'w8', 'unknown'],
    ['pivot', 'p', 'clean'],
    ['pivot', 'n', 'twice'],
  ] as const
).map(([shape, step, how]): Scenario => ({
  ...{ name: `${shape}: ${step} fails, ${how}`, shape, outcome: 'failure at a step' },
  faults: { actions: { [step]: how } },
}));

const undoFailures = (
  [
    ['line', 'd', 'c', 'once'],
    ['line', 'd', 'b', 'once'],
    ['line', 'd', 'a', 'always'],
    ['diamond', 'd', 'b', 'once'],
    ['diamond', 'd', 'c', 'always'],
    ['wide', 'w5', 'w3', 'once'],
    ['wide', 'w5', 's', 'always'],
  ] as const
).map(([shape, step, undo, how]): Scenario => ({
  ...{ name: `${shape}: undo of ${undo} fails, ${how}`, shape, outcome: 'failure in an undo' },
  faults: { actions: { [step]: 'clean' }, undos: { [undo]: how } },
}));

export const SCENARIOS: readonly Scenario[] = [...successes, ...stepFailures, ...undoFailures];
