import type { SagaRegistry } from '../saga/definition/saga-registry.js';
import { snapshotOf, type SagaSnapshot } from '../saga/execution/saga-result.js';
import { stateAfter } from '../saga/execution/saga-fold.js';
import { stateOf } from '../saga/execution/saga-state.js';
import type { SagaStorage } from '../saga/saga-storage.js';
import { SagaNotFoundError } from '../saga/state/errors.js';
import { momentOf, type SagaMoment } from './saga-moment.js';
import { readQuery, type SagaQuery } from './saga-query.js';

export interface SagaPage {
  /** The newest first. */
  readonly sagas: readonly SagaSnapshot[];
  /** For `after`; undefined on the last page. */
  readonly next: string | undefined;
}

/** One saga as it can be read: what happened to it, in order. Never what its steps were given or returned. */
export interface SagaHistory extends SagaSnapshot {
  readonly timeline: readonly SagaMoment[];
  /** Mermaid text of its steps and where they stand; undefined when this process does not know its definition. */
  readonly mermaid: string | undefined;
}

export interface SagaAdminSettings {
  readonly storage: SagaStorage;
  readonly registry: SagaRegistry;
}

/** Looks at sagas, for operators and their tools. Changes nothing. */
export class SagaAdmin {
  constructor(private readonly settings: SagaAdminSettings) {}

  /** @throws SagaInputError that names the field */
  async list(query: SagaQuery = {}): Promise<SagaPage> {
    const { limit, ...wanted } = readQuery(query);
    const rows = await this.settings.storage.list({ ...wanted, limit: limit + 1 });
    const page = rows.slice(0, limit);
    return { sagas: page.map(snapshotOf), next: rows.length > limit ? page.at(-1)?.sagaId : undefined };
  }

  /** @throws SagaNotFoundError */
  async history(sagaId: string): Promise<SagaHistory> {
    const { storage } = this.settings;
    const row = await storage.find(sagaId);
    if (!row) throw new SagaNotFoundError(`there is no saga ${sagaId}`);
    const journal = await storage.journal(sagaId);
    const { name, version, startedAt, launch } = row;
    const started = { at: startedAt, what: 'started', epoch: 1, launched: launch };
    return {
      ...snapshotOf(row),
      timeline: [started, ...journal.map(momentOf)],
      mermaid: this.drawn({ name, version, launch, journal }),
    };
  }

  private drawn({ name, version, launch, journal }: SagaParts): string | undefined {
    const definition = this.settings.registry.find(name, version);
    if (!definition) return undefined;
    const state = stateAfter(definition, launch, journal);
    return definition.graph.toMermaid((step) => `${step}: ${stateOf(state, step).status}`);
  }
}

interface SagaParts {
  readonly name: string;
  readonly version: number;
  readonly launch: readonly string[];
  readonly journal: Awaited<ReturnType<SagaStorage['journal']>>;
}
