import { show } from '../../runtime/readers.js';
import type { DefinitionFault } from '../state/errors.js';
import { isDefinition } from './saga-definition.js';
import type { SagaDraft } from './saga-draft.js';

/** A saga to be registered. */
export interface SagaSource {
  readonly draft: SagaDraft;
  /** The class or object that callers name the saga by. */
  readonly source: unknown;
}

/** What was handed in as saga definitions, sorted into those and faults. @param place who was given them */
export function readDefinitions(
  values: readonly unknown[],
  place: string,
): { readonly sources: readonly SagaSource[]; readonly faults: readonly DefinitionFault[] } {
  const sources = values.filter(isDefinition).map((source) => ({ draft: source.draft, source }));
  const faults = values
    .filter((value) => !isDefinition(value))
    .map((value): DefinitionFault => {
      const message = `${place}: expected a saga definition, got ${showStranger(value)}`;
      return { kind: 'INVALID_OPTION', message };
    });
  return { sources, faults };
}

/** What somebody mistook for a saga definition, and what to do about it. */
export function showStranger(value: unknown): string {
  if (typeof value === 'function' && value.prototype !== undefined)
    return `the class ${value.name}; decorate it with @Saga and add it to the providers of a module`;
  if (typeof (value as { build?: unknown } | null | undefined)?.build === 'function')
    return 'a builder; call its build() and hand in what that returns';
  return `${show(value)}; make one with new ClassicSaga(...).step(...).build()`;
}
