import type { SagaDefinition } from './saga-definition.js';

/** How a caller names a saga: its class, its name, or its definition. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- any constructor and any definition will do
export type SagaRef = string | (abstract new (...args: any[]) => object) | SagaDefinition<any, any>;

type AnyFunction = (...args: never[]) => unknown;
type IsAny<T> = 0 extends 1 & T ? true : false;

/** The first parameter of a function; never when it has none or an untyped one. */
type FirstOf<F> = F extends (...args: infer P) => unknown
  ? P extends [infer A, ...unknown[]]
    ? IsAny<A> extends true
      ? never
      : A
    : never
  : never;

interface ActionLike {
  readonly phase: 'action';
}

/** Methods of a saga class that take an action context: its steps. */
type StepKey<S> = {
  [K in keyof S]: S[K] extends AnyFunction
    ? [FirstOf<S[K]>] extends [never]
      ? never
      : FirstOf<S[K]> extends ActionLike
        ? K
        : never
    : never;
}[keyof S] &
  string;

/** A function of every step's input: inferring from it intersects them. */
type TakesInput<S> = {
  [K in StepKey<S>]: FirstOf<S[K]> extends { readonly input: Readonly<infer I> } ? (input: I) => void : never;
}[StepKey<S>];

/** The input of a saga, read from the contexts of its handlers; unknown for a name. */
export type InputOf<T> = T extends abstract new (...args: never[]) => infer S
  ? [StepKey<S>] extends [never]
    ? unknown
    : TakesInput<S> extends (input: infer I) => void
      ? I
      : unknown
  : T extends SagaDefinition<infer I, infer _R>
    ? I
    : unknown;

/** The results of a saga by step, read from what its handlers return. */
export type ResultsOf<T> = T extends abstract new (...args: never[]) => infer S
  ? { readonly [K in StepKey<S>]: S[K] extends (...args: never[]) => infer Q ? Awaited<Q> : never }
  : T extends SagaDefinition<infer _I, infer R>
    ? R
    : Record<string, unknown>;
