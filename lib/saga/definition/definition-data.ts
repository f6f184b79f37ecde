import { createHash } from 'node:crypto';
import type { CompensateOn, ResolvedStepOptions } from './saga-options.js';

/** A step as it is stored: what another process has to know of it to undo it without its code. */
export interface StepData {
  readonly name: string;
  readonly dependsOn: readonly string[];
  readonly transactional: boolean;
  readonly pivot: boolean;
  readonly readOnly: boolean;
  readonly compensateOn: CompensateOn;
  /** Name of the signal that it waits for. */
  readonly waitFor: string | null;
  readonly delayed: boolean;
  /** With its own place in the compensation graph, if it has one; null for a step that nothing undoes. */
  readonly undo: { readonly after: readonly string[] | null } | null;
  /** Limit of one attempt: the undo of an attempt that was lost waits for it. No part of the hash. */
  readonly timeoutMs: number;
}

/** What is stored of a saga definition, in the order of its steps. */
export type DefinitionData = readonly StepData[];

/** What of a step is stored. */
interface Step extends Omit<ResolvedStepOptions, 'retry'> {
  readonly name: string;
  readonly dependsOn: readonly string[];
  readonly compensation: { readonly after: readonly string[] | undefined } | undefined;
}

export function dataOf(steps: Iterable<Step>): DefinitionData {
  return [...steps].map((step) => ({
    name: step.name,
    dependsOn: step.dependsOn,
    transactional: step.transactional,
    pivot: step.pivot,
    readOnly: step.readOnly,
    compensateOn: step.compensateOn,
    waitFor: step.waitFor ?? null,
    delayed: step.delay !== undefined,
    undo: step.compensation ? { after: step.compensation.after ?? null } : null,
    timeoutMs: step.timeout,
  }));
}

/**
 * Sixteen hex digits of the SHA-256 of what a running saga depends on: names, order and kinds of its steps, and which of
 * them have an undo. The order of writing, time-outs, retries and the names of methods may change.
 */
export function hashOf(data: DefinitionData): string {
  const steps = data.map(({ timeoutMs: _, dependsOn, ...step }) => ({
    ...step,
    dependsOn: dependsOn.toSorted(),
  }));
  const text = JSON.stringify(steps.sort((a, b) => (a.name < b.name ? -1 : 1)));
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
