import type { ResolvedCompensateOptions, ResolvedSagaDefaults, ResolvedStepOptions } from './saga-options.js';
import type { DefinitionData } from './definition-data.js';
import type { CompensationGraph } from './compensation-graph.js';
import type { Handler, SagaDraft } from './saga-draft.js';
import type { StandardSchema } from './standard-schema.js';
import type { StepGraph } from './step-graph.js';

export type { Handler };

export interface CompensationDefinition extends ResolvedCompensateOptions {
  /** Its own place in the compensation graph; undefined for the derived one. */
  readonly after: readonly string[] | undefined;
  readonly handler: Handler;
  /** Class and method, for messages. */
  readonly place: string;
}

export interface StepDefinition extends ResolvedStepOptions {
  readonly name: string;
  readonly dependsOn: readonly string[];
  readonly handler: Handler;
  /** Class and method, for messages. */
  readonly place: string;
  readonly compensation: CompensationDefinition | undefined;
  /** Asks the remote system what became of the action. */
  readonly probe: Handler | undefined;
}

declare const types: unique symbol;

/** A registered symbol, so that a definition of an ESM and of a CommonJS copy is one to both. */
const BRAND = Symbol.for('nestjs-sagaz:definition');

/** A saga as the engine runs it: immutable, the same for every way of defining one. */
export interface SagaDefinition<I = unknown, R = Record<string, unknown>> {
  readonly name: string;
  readonly version: number;
  /** What the input must be at `start`; undefined where anything may be given. */
  readonly input: StandardSchema | undefined;
  readonly options: ResolvedSagaDefaults;
  readonly steps: ReadonlyMap<string, StepDefinition>;
  readonly graph: StepGraph;
  readonly compensations: CompensationGraph;
  /** Steps that do not start as soon as they could: each waits for its time or for a signal. */
  readonly gates: ReadonlySet<string>;
  /** What is stored of it, and the hash of that. */
  readonly data: DefinitionData;
  readonly hash: string;
  /** What it was made from: registered, it is made anew with the defaults of the module. */
  readonly draft: SagaDraft;
  /** Carries input and result types; never there at run time. */
  readonly [types]?: (input: I) => R;
}

/** Marks a definition as one and makes it immutable. */
export function branded(definition: SagaDefinition): SagaDefinition {
  return Object.freeze({ ...definition, [BRAND]: true });
}

export function isDefinition(value: unknown): value is SagaDefinition {
  return typeof value === 'object' && value !== null && BRAND in value;
}

/** A step of a definition by its name; a name that is not there is a fault of this library. */
export function stepOf(definition: SagaDefinition, name: string): StepDefinition {
  const step = definition.steps.get(name);
  if (!step) throw new Error(`saga ${definition.name} v${definition.version} has no step ${name}`);
  return step;
}
