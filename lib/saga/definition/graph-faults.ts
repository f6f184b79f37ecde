import type { DefinitionFault } from '../state/errors.js';
import type { CompensationGraph } from './compensation-graph.js';
import { fault, type Steps } from './definition-faults.js';
import type { StepDefinition } from './saga-definition.js';
import type { SagaDraft } from './saga-draft.js';
import { findCycle, type StepGraph } from './step-graph.js';

/** Undos that wait for each other: their own `after` against each other, or against the derived order. */
export function undoCycleFaults(draft: SagaDraft, steps: Steps, graph: CompensationGraph): DefinitionFault[] {
  const cycle = findCycle(graph.nodes.map(({ step, after }) => ({ name: step, dependsOn: after })));
  if (!cycle) return [];
  const places = cycle.map((name) => steps.get(name)?.compensation?.place ?? name);
  return [
    fault(
      'CYCLE',
      `${draft.place}: the undos wait for each other: ${places.join(' -> ')}; give more of them an after`,
    ),
  ];
}

/** Faults of the pivot. */
export function pivotFaults(steps: ReadonlyMap<string, StepDefinition>, graph: StepGraph): DefinitionFault[] {
  const pivots = [...steps.values()].filter((step) => step.pivot);
  const [pivot, second] = pivots;
  if (!pivot) return [];
  if (second)
    return [fault('SEVERAL_PIVOTS', `${second.place}: the saga has a pivot already, at ${pivot.place}`)];
  const faults: DefinitionFault[] = [];
  if (pivot.compensation) {
    faults.push(
      fault(
        'COMPENSATION_ON_PIVOT',
        `${pivot.compensation.place}: a pivot is never undone, "${pivot.name}" can have no compensation`,
      ),
    );
  }
  const related = new Set([pivot.name, ...graph.ancestors(pivot.name), ...graph.descendants(pivot.name)]);
  for (const step of steps.values()) {
    if (!related.has(step.name)) {
      faults.push(
        fault(
          'BESIDE_PIVOT',
          `${step.place}: must be before or after the pivot "${pivot.name}", not beside it; add a dependsOn`,
        ),
      );
    }
  }
  return faults;
}

/** Steps after the pivot are retried until they succeed: to ask for one attempt there contradicts that. */
export function retryFaults(draft: SagaDraft, graph: StepGraph): DefinitionFault[] {
  return draft.steps
    .filter((step) => graph.phase(step.name) === 'after' && allowsOneAttempt(step.options))
    .map(({ place }) =>
      fault(
        'NOT_RETRIABLE_AFTER_PIVOT',
        `${place}: after the pivot a step is retried until it succeeds, so its retry cannot be one attempt; ` +
          'leave it out or give only its pauses, such as retry: { initialInterval: "1s" }',
      ),
    );
}

/** Whether the step's own options say so; a default of the saga is meant for the steps before the pivot. */
function allowsOneAttempt(options: unknown): boolean {
  const { retry } = (options ?? {}) as { retry?: unknown };
  const attempts =
    typeof retry === 'object' ? (retry as { maxAttempts?: unknown } | null)?.maxAttempts : retry;
  return attempts === 1 || attempts === false;
}

/** What is allowed and probably wrong: an effect that nothing undoes. A fault with `strict`, else a warning. */
export function missingCompensations(
  steps: ReadonlyMap<string, StepDefinition>,
  graph: StepGraph,
): DefinitionFault[] {
  return [...steps.values()]
    .filter(
      (step) =>
        !step.compensation &&
        !step.readOnly &&
        graph.phase(step.name) === 'before' &&
        othersMayFail(step.name, steps, graph),
    )
    .map((step) =>
      fault(
        'MISSING_COMPENSATION',
        `${step.place}: a later step may fail and nothing undoes "${step.name}"; give it a compensation or readOnly: true`,
      ),
    );
}

/** Whether any step can fail once this one is completed: all but those that are completed before it begins. */
function othersMayFail(name: string, steps: ReadonlyMap<string, StepDefinition>, graph: StepGraph): boolean {
  return steps.size - 1 > graph.ancestors(name).size;
}
