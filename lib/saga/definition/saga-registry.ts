import { didYouMean } from '../../runtime/did-you-mean.js';
import { SagaDefinitionError, SagaNotFoundError, type DefinitionFault } from '../state/errors.js';
import type { SagaVersion } from '../state/saga-version.js';
import { buildDefinition, retiredFaults } from './build-definition.js';
import type { DefinitionData } from './definition-data.js';
import { showStranger, type SagaSource } from './definition-source.js';
import { retiredDefinition, retiredError } from './retired-definition.js';
import { isDefinition, type SagaDefinition } from './saga-definition.js';
import type { SagaDraft } from './saga-draft.js';
import { SAGA_DEFAULTS, type ResolvedSagaDefaults } from './saga-options.js';

/** The saga definitions of this process, by name and version and by where they came from. */
export class SagaRegistry {
  private readonly byName = new Map<string, Map<number, SagaDefinition>>();
  private readonly bySource = new Map<unknown, SagaDefinition>();
  private readonly retired = new Map<string, SagaSource>();

  /** @param defaults those of the module: what sagas say themselves wins */
  constructor(private readonly defaults: ResolvedSagaDefaults = SAGA_DEFAULTS) {}

  /**
   * Makes definitions with the module's defaults and adds all of them, or none when there is any fault. A source that
   * was there before takes the place of what it was.
   * @param known faults that were found on the way here
   * @returns warnings
   * @throws SagaDefinitionError with every fault of every saga
   */
  register(sagas: readonly SagaSource[], known: readonly DefinitionFault[] = []): readonly DefinitionFault[] {
    const retired = sagas.filter(({ draft }) => draft.retired);
    const built = sagas
      .filter(({ draft }) => !draft.retired)
      .map(({ draft, source }) => ({ source, ...buildDefinition(draft, this.defaults) }));
    const faults = [
      ...known,
      ...this.duplicates(sagas),
      ...built.flatMap((it) => it.faults),
      ...retired.flatMap(({ draft }) => retiredFaults(draft, this.defaults)),
    ];
    if (faults.length > 0) throw new SagaDefinitionError(faults);
    for (const { definition, source } of built) if (definition) this.add(definition, source);
    for (const saga of retired) this.retired.set(keyOf(saga.draft), saga);
    return built.flatMap(({ warnings }) => warnings);
  }

  has(source: unknown): boolean {
    return this.bySource.has(source) || [...this.retired.values()].some((saga) => saga.source === source);
  }

  isRetired(saga: SagaVersion): boolean {
    return this.retired.size > 0 && this.retired.has(keyOf(saga));
  }

  /**
   * The definition of a retired version, with the steps that its sagas were started with.
   * @throws DefinitionChangedError when the undos that are left do not fit them
   */
  rebuild(saga: SagaVersion, data: DefinitionData): SagaDefinition {
    const source = this.retired.get(keyOf(saga));
    if (!source) throw new Error(`version ${saga.version} of saga "${saga.name}" is not retired`);
    return retiredDefinition(source.draft, data, this.defaults);
  }

  /** @param source the class or object that callers name the saga by */
  add(definition: SagaDefinition, source: unknown = definition): void {
    const versions = this.byName.get(definition.name) ?? new Map<number, SagaDefinition>();
    this.byName.set(definition.name, versions.set(definition.version, definition));
    this.bySource.set(source, definition);
    this.bySource.set(definition, definition);
  }

  /**
   * The definition that a caller means: by name the newest version, unless one is asked for.
   * @throws SagaNotFoundError
   */
  resolve(ref: unknown, version?: number): SagaDefinition {
    const name = typeof ref === 'string' ? ref : this.bySource.get(ref)?.name;
    const found =
      version === undefined && typeof ref !== 'string'
        ? this.bySource.get(ref)
        : this.find(name ?? '', version);
    if (found) return found;
    throw new SagaNotFoundError(this.notFoundMessage(ref, name, version));
  }

  find(name: string, version?: number): SagaDefinition | undefined {
    const versions = this.byName.get(name);
    if (!versions) return undefined;
    return versions.get(version ?? Math.max(...versions.keys()));
  }

  versions(): readonly SagaVersion[] {
    const whole = [...this.byName.values()].flatMap((versions) => [...versions.values()]);
    return [
      ...whole.map(({ name, version, hash }) => ({ name, version, hash })),
      ...[...this.retired.values()].map(({ draft: { name, version } }) => ({ name, version })),
    ];
  }

  private duplicates(sagas: readonly SagaSource[]): DefinitionFault[] {
    const seen = new Map<string, SagaSource>();
    const faults: DefinitionFault[] = [];
    for (const saga of sagas) {
      const other = seen.get(keyOf(saga.draft))?.draft ?? this.stranger(saga);
      if (other) faults.push(duplicateSaga(saga.draft, other));
      seen.set(keyOf(saga.draft), saga);
    }
    return faults;
  }

  /** What is registered under the same name and version and came from elsewhere. */
  private stranger({ draft, source }: SagaSource): SagaDraft | undefined {
    const retired = this.retired.get(keyOf(draft));
    if (retired && retired.source !== source) return retired.draft;
    const registered = this.byName.get(draft.name)?.get(draft.version);
    return registered === this.bySource.get(source) ? undefined : registered?.draft;
  }

  private notFoundMessage(ref: unknown, name: string | undefined, version: number | undefined): string {
    const retired = [...this.retired.values()].find(
      ({ source, draft }) => source === ref || (draft.name === name && draft.version === version),
    );
    if (retired) return retiredError(retired.draft).message;
    if (typeof ref === 'function')
      return `${ref.name} is no registered saga; decorate it with @Saga and add it to the providers of a module`;
    if (isDefinition(ref) && name === undefined)
      return `${ref.draft.place} is not registered in this process; give it to SagazModule.forFeature or orchestrator.register`;
    if (typeof ref !== 'string' && name === undefined)
      return `expected a saga class, name or definition, got ${showStranger(ref)}`;
    const wanted = version === undefined ? `saga "${name}"` : `saga "${name}" version ${version}`;
    return `${wanted} is not registered in this process${didYouMean(name ?? '', this.byName.keys())}`;
  }
}

function keyOf({ name, version }: SagaVersion): string {
  return `${version} ${name}`;
}

function duplicateSaga({ name, version, place }: SagaDraft, other: SagaDraft): DefinitionFault {
  const whose = other.place === place ? `another ${place}` : other.place;
  const message = `${place}: the saga "${name}" version ${version} is ${whose} already; choose another name or version`;
  return { kind: 'DUPLICATE_SAGA', message };
}
