import { levels } from './levels.js';
import { stepOf, type SagaDefinition, type StepDefinition } from './saga-definition.js';

type Groups = readonly (readonly string[])[];

/** What a saga would do, without running it. */
export interface SagaPlan {
  readonly sagaName: string;
  readonly version: number;
  /** The steps in an order in which they could run one by one. */
  readonly order: readonly string[];
  /** Steps that may run at the same time, group after group; how many really do the option `concurrency` decides. */
  readonly groups: Groups;
  /** The point of no return. */
  readonly pivot?: string;
  /**
   * For a failure at each step: the undos, group by group, in the order they run. All steps that do not wait for the
   * failed one count as completed. The failed one counts as unknown, so it is undone too, unless it is transactional or
   * says `compensateOn: 'completed'`; a failed pivot as without effect. After the pivot nothing is undone: an empty
   * list. `compensateOn: 'always'` makes a difference only for steps that ran.
   */
  readonly compensation: Readonly<Record<string, Groups>>;
  /** Mermaid text of the steps. */
  readonly mermaid: string;
  /** Mermaid text of the undos. */
  readonly compensationMermaid: string;
}

/** The plan of a saga, by the same graphs that the engine runs it by. */
export function planOf(definition: SagaDefinition): SagaPlan {
  const { name: sagaName, version, graph, compensations } = definition;
  const groups = levels(graph.names, (name) => graph.ancestors(name));
  const pivot = graph.names.find((name) => graph.phase(name) === 'pivot');
  return {
    sagaName,
    version,
    order: groups.flat(),
    groups,
    ...(pivot !== undefined && { pivot }),
    compensation: Object.fromEntries(graph.names.map((name) => [name, undosAfter(definition, name)])),
    mermaid: graph.toMermaid(),
    compensationMermaid: compensations.toMermaid(),
  };
}

function undosAfter(definition: SagaDefinition, failed: string): Groups {
  const { graph, compensations } = definition;
  if (graph.phase(failed) === 'after') return [];
  const undone = graph.names.filter((name) => {
    const step = stepOf(definition, name);
    if (!step.compensation) return false;
    return name === failed ? isUndoneAfterFailure(step) : !graph.descendants(failed).has(name);
  });
  return levels(undone, (name) => compensations.predecessors(name));
}

/** Its effect may be there; of a transactional step it is known that it is not. */
function isUndoneAfterFailure({ compensateOn, transactional }: StepDefinition): boolean {
  return compensateOn === 'always' || (compensateOn === 'unknown' && !transactional);
}
