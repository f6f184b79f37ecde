/** A handler after binding to its provider. The engine does not look into the context's transaction. */
export type Handler = (context: unknown) => unknown;

/** A saga as it was written, before anything is checked. Every way of defining one ends here. */
export interface SagaDraft {
  readonly name: string;
  readonly version: number;
  /** The class or builder, for messages. */
  readonly place: string;
  /** Only its undos are left. */
  readonly retired?: boolean | undefined;
  /** The schema of the input. */
  readonly input?: unknown;
  /** As the user gave them. */
  readonly options: unknown;
  readonly steps: readonly StepDraft[];
  readonly compensations: readonly CompensationDraft[];
}

export interface StepDraft {
  readonly name: string;
  /** Undefined where none was given: then the order of writing decides. */
  readonly dependsOn: readonly string[] | undefined;
  readonly options: unknown;
  readonly handler: Handler;
  readonly probe: Handler | undefined;
  /** Class and method, or builder and step, for messages. */
  readonly place: string;
  /** True when it stands on another provider than the saga. */
  readonly foreign: boolean;
}

export interface CompensationDraft {
  readonly step: string;
  readonly after?: readonly string[] | undefined;
  readonly options: unknown;
  readonly handler: Handler;
  /** Class and method, or builder and step, for messages. */
  readonly place: string;
}

/** Gives steps without any `dependsOn` in their class the order they are written in. */
export function withWrittenOrder(
  steps: readonly StepDraft[],
): readonly (StepDraft & { dependsOn: readonly string[] })[] {
  const explicit = steps.some((step) => !step.foreign && step.dependsOn !== undefined);
  let previous: string | undefined;
  return steps.map((step) => {
    if (step.foreign || explicit) return { ...step, dependsOn: step.dependsOn ?? [] };
    const dependsOn = previous === undefined ? [] : [previous];
    previous = step.name;
    return { ...step, dependsOn };
  });
}
