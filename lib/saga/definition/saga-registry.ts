import { didYouMean } from '../../runtime/did-you-mean.js';
import { SagaNotFoundError } from '../state/errors.js';
import type { SagaVersion } from '../state/saga-version.js';
import type { SagaDefinition } from './saga-definition.js';

/** The saga definitions of this process, by name and version and by where they came from. */
export class SagaRegistry {
  private readonly byName = new Map<string, Map<number, SagaDefinition>>();
  private readonly bySource = new Map<unknown, SagaDefinition>();

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
    return [...this.byName].flatMap(([name, versions]) =>
      [...versions.keys()].map((version) => ({ name, version })),
    );
  }

  private notFoundMessage(ref: unknown, name: string | undefined, version: number | undefined): string {
    if (typeof ref === 'function')
      return `${ref.name} is no registered saga; decorate it with @Saga and add it to the providers of a module`;
    const wanted =
      version === undefined
        ? `saga "${name ?? String(ref)}"`
        : `saga "${name ?? String(ref)}" version ${version}`;
    return `${wanted} is not registered in this process${didYouMean(name ?? '', this.byName.keys())}`;
  }
}
