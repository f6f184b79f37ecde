import { DefinitionChangedError, VersionNotRegisteredError } from '../state/errors.js';
import { buildDefinition } from './build-definition.js';
import type { DefinitionData, StepData } from './definition-data.js';
import { storedStepDraft } from './stored-definition.js';
import type { SagaDefinition } from './saga-definition.js';
import type { SagaDraft, StepDraft } from './saga-draft.js';
import type { ResolvedSagaDefaults } from './saga-options.js';

/**
 * The definition of a retired version: its steps as they were stored when its sagas were started, its undos from the code
 * that is left.
 * @throws DefinitionChangedError when an undo is missing, or is one that the stored steps do not have
 */
export function retiredDefinition(
  draft: SagaDraft,
  data: DefinitionData,
  defaults: ResolvedSagaDefaults,
): SagaDefinition {
  const { name, version, place } = draft;
  const undone = new Map(draft.compensations.map((it) => [it.step, it]));
  const missing = data.filter(({ name: step, undo }) => undo && !undone.has(step)).map((step) => step.name);
  if (missing.length > 0)
    throw new DefinitionChangedError(
      `${place} has no undo of ${missing.join(', ')}, but sagas of version ${version} were started with it`,
    );
  const afterOf = new Map(data.map((step) => [step.name, step.undo?.after ?? undefined]));
  const compensations = draft.compensations.map((it) => ({ ...it, after: afterOf.get(it.step) }));
  const steps = data.map((step) => stepDraft(draft, step));
  const { definition, faults } = buildDefinition({ ...draft, steps, compensations }, defaults);
  if (definition) return definition;
  const why = faults.map(({ message }) => message).join('; ');
  throw new DefinitionChangedError(
    `version ${version} of saga "${name}" is not what it was started with: ${why}`,
  );
}

export function retiredError({
  name,
  version,
}: Pick<SagaDraft, 'name' | 'version'>): VersionNotRegisteredError {
  return new VersionNotRegisteredError(
    `version ${version} of saga "${name}" is retired: its sagas are undone, none goes forward`,
  );
}

function stepDraft(draft: SagaDraft, step: StepData): StepDraft {
  const handler = () => {
    throw retiredError(draft);
  };
  return { ...storedStepDraft(draft.place, step), handler };
}
