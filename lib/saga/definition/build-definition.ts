import { Place, section } from '../../runtime/readers.js';
import type { DefinitionFault } from '../state/errors.js';
import { dataOf, hashOf } from './definition-data.js';
import { identityFaults, namingFaults } from './definition-faults.js';
import { missingCompensations, pivotFaults, retryFaults, undoCycleFaults } from './graph-faults.js';
import { CompensationGraph } from './compensation-graph.js';
import {
  branded,
  type CompensationDefinition,
  type SagaDefinition,
  type StepDefinition,
} from './saga-definition.js';
import { withWrittenOrder, type CompensationDraft, type SagaDraft } from './saga-draft.js';
import { compensationOptions, sagaFields, stepOptions, type ResolvedSagaDefaults } from './saga-options.js';
import { standardSchema } from './standard-schema.js';
import { StepGraph } from './step-graph.js';
import { endlessWaits, gatesOf, waitFaults } from './waits.js';

export interface BuiltDefinition {
  /** Missing when there are faults. */
  readonly definition: SagaDefinition | undefined;
  readonly faults: readonly DefinitionFault[];
  readonly warnings: readonly DefinitionFault[];
}

/** Checks a draft and makes the immutable definition of it. Every fault is listed; none is thrown. */
export function buildDefinition(draft: SagaDraft, defaults: ResolvedSagaDefaults): BuiltDefinition {
  const notes: string[] = [];
  const options = section(sagaFields(defaults))(draft.options, new Place(draft.place, notes));
  const input = standardSchema()(draft.input, new Place(`${draft.place}.input`, notes));
  const steps = buildSteps(draft, options, notes);
  const naming = namingFaults(draft, steps);
  // Without known names there is no graph that could be looked at.
  if (naming.length > 0)
    return { definition: undefined, faults: [...notes.map(asFault), ...naming], warnings: [] };

  const compensations = new CompensationGraph([...steps.values()]);
  const graph = new StepGraph([...steps.values()], [...steps.values()].find((step) => step.pivot)?.name);
  const doubts = [...missingCompensations(steps, graph), ...endlessWaits(steps)];
  const faults = [
    ...notes.map(asFault),
    ...pivotFaults(steps, graph),
    ...retryFaults(draft, graph),
    ...undoCycleFaults(draft, steps, compensations),
    ...waitFaults(steps),
    ...(options.strict ? doubts : []),
  ];
  if (faults.length > 0) return { definition: undefined, faults, warnings: [] };
  const { name, version } = draft;
  const gates = gatesOf(steps);
  const data = dataOf(steps.values());
  const own = { name, version, input, options, data, hash: hashOf(data), draft };
  const definition = branded({ ...own, steps, graph, compensations, gates });
  return { definition, faults: [], warnings: options.strict ? [] : doubts };
}

/** Faults of a draft of which only undos are left: its steps are not known yet. */
export function retiredFaults(draft: SagaDraft, defaults: ResolvedSagaDefaults): readonly DefinitionFault[] {
  const notes: string[] = [];
  const options = section(sagaFields(defaults))(draft.options, new Place(draft.place, notes));
  for (const compensation of draft.compensations) buildCompensation(compensation, options, notes);
  return [...identityFaults(draft), ...notes.map(asFault)];
}

function buildSteps(
  draft: SagaDraft,
  options: ResolvedSagaDefaults,
  notes: string[],
): ReadonlyMap<string, StepDefinition> {
  const compensations = new Map(
    draft.compensations.map((it) => [it.step, buildCompensation(it, options, notes)]),
  );
  const read = stepOptions(options);
  return new Map(
    withWrittenOrder(draft.steps).map(({ name, dependsOn, handler, probe, place, options: given }) => {
      const own = read(given, new Place(place, notes));
      return [
        name,
        Object.freeze({
          ...own,
          name,
          dependsOn,
          handler,
          probe,
          place,
          compensation: compensations.get(name),
        }),
      ];
    }),
  );
}

function buildCompensation(
  draft: CompensationDraft,
  defaults: ResolvedSagaDefaults,
  notes: string[],
): CompensationDefinition {
  const own = compensationOptions(defaults)(draft.options, new Place(draft.place, notes));
  return Object.freeze({ ...own, after: draft.after, handler: draft.handler, place: draft.place });
}

function asFault(message: string): DefinitionFault {
  return { kind: 'INVALID_OPTION', message };
}
