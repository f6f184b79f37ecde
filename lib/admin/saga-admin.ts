import { writtenAsOurs } from '../events/uuid-v7.js';
import type { DefinitionData } from '../saga/definition/definition-data.js';
import type { SagaDefinition } from '../saga/definition/saga-definition.js';
import type { SagaRegistry } from '../saga/definition/saga-registry.js';
import { storedDefinition } from '../saga/definition/stored-definition.js';
import { findSaga, sagaNotFound } from '../saga/find-saga.js';
import { refusedCancel } from '../saga/refused-cancel.js';
import { stateAfter } from '../saga/execution/saga-fold.js';
import { snapshotOf, type SagaSnapshot } from '../saga/execution/saga-result.js';
import { stateOf } from '../saga/execution/saga-state.js';
import type { InterventionStorage } from '../saga/intervention-storage.js';
import type { HeldSaga, SagaRow, SagaStorage } from '../saga/saga-storage.js';
import type { AuditRecord } from '../saga/state/audit.js';
import { IllegalTransitionError } from '../saga/state/errors.js';
import type { JournalEntry } from '../saga/state/journal.js';
import type { SagaStatus } from '../saga/state/saga-status.js';
import { readAuditQuery, type AuditQuery } from './audit-query.js';
import { decide, type SagaCase, type SagaIntervention } from './interventions.js';
import { auditOf, type Operator } from './operator.js';
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
  /** Mermaid text of its steps and where they stand; undefined when nobody knows its definition. */
  readonly mermaid: string | undefined;
}

/** What an action of an operator came to. A worker that has the code of the saga goes on from there. */
export interface SagaChange {
  readonly sagaId: string;
  readonly before: SagaStatus;
  readonly after: SagaStatus;
}

export interface SagaAdminSettings {
  readonly storage: SagaStorage;
  readonly interventions: InterventionStorage;
  readonly registry: SagaRegistry;
  /** Called with a saga that was taken from its owner, and the epoch of that one. Somebody may run it. */
  readonly taken: (held: HeldSaga) => void;
  /** Called with a saga that is to turn back. */
  readonly cancelled: (sagaId: string) => Promise<void>;
}

/** How often an action is decided anew when the saga moves meanwhile. */
const MAX_TRIES = 5;

/**
 * Looks at sagas and mends those that are stuck, for operators and their tools. It runs nothing itself: it takes a saga
 * from whoever owns it, under a new epoch, writes what is to be done, and a worker that has the code does it. Every change
 * stands in the audit.
 */
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
  async history(id: string): Promise<SagaHistory> {
    const sagaId = writtenAsOurs(id);
    const row = await findSaga(this.settings.storage, sagaId);
    const [journal, definition] = await Promise.all([
      this.settings.storage.journal(sagaId),
      this.definitionOf(row),
    ]);
    const started = { at: row.startedAt, what: 'started', epoch: 1, launched: row.launch };
    return {
      ...snapshotOf(row),
      timeline: [started, ...journal.map(momentOf)],
      mermaid: definition && drawn(definition, row, journal),
    };
  }

  /** What operators did, the latest first. @throws SagaInputError that names the field */
  async audit(query: AuditQuery = {}): Promise<readonly AuditRecord[]> {
    const { limit, ...filter } = readAuditQuery(query);
    return this.settings.interventions.audits(filter, limit);
  }

  /**
   * Everything that has given up gets all its attempts again: the undos of a failed saga, the steps that a saga was parked
   * for. In a saga that goes on, what waits for its next attempt gets it now.
   * @throws SagaNotFoundError; IllegalTransitionError when there is nothing to retry; SagaInputError
   */
  retry(sagaId: string, by: Operator = {}): Promise<SagaChange> {
    return this.intervene('retry', { id: sagaId, by });
  }

  /**
   * The saga goes on as if this step were done, without a result: one that has failed, waits, or is tried again and again.
   * What it may have done is undone if the saga turns back.
   * @throws SagaNotFoundError; IllegalTransitionError; SagaInputError for a step that is not there
   */
  skip(sagaId: string, step: string, by: Operator = {}): Promise<SagaChange> {
    return this.intervene('skip', { id: sagaId, step, by });
  }

  /**
   * Says that a step was undone by hand: its undo is not tried any more, and the others go on. A saga of which nothing else
   * stands ends compensated.
   * @throws SagaNotFoundError; IllegalTransitionError; SagaInputError for a step that is not there
   */
  resolve(sagaId: string, step: string, by: Operator = {}): Promise<SagaChange> {
    return this.intervene('resolve', { id: sagaId, step, by });
  }

  /**
   * Turns a saga back, also behind its pivot, which stays done: `error.standing` of the result names it. `cancel` is the way
   * to ask for it before.
   * @throws SagaNotFoundError; IllegalTransitionError; SagaInputError
   */
  compensate(sagaId: string, by: Operator = {}): Promise<SagaChange> {
    return this.intervene('compensate', { id: sagaId, by });
  }

  /**
   * Lets a parked saga run again whose processes had died, or whose code was missing.
   * @throws SagaNotFoundError; IllegalTransitionError when it is not parked, or one of its steps has failed; SagaInputError
   */
  resume(sagaId: string, by: Operator = {}): Promise<SagaChange> {
    return this.intervene('resume', { id: sagaId, by });
  }

  /** As `SagaOrchestrator.cancel`. @throws SagaNotFoundError, SagaNotCancellableError, SagaInputError */
  async cancel(id: string, by: Operator = {}): Promise<SagaChange> {
    const sagaId = writtenAsOurs(id);
    const audit = auditOf('cancel', sagaId, by);
    const outcome = await this.settings.interventions.cancel(sagaId, audit);
    if (outcome.answer === 'not_found') throw sagaNotFound(sagaId);
    const { answer, before } = outcome;
    if (answer === 'too_late') throw refusedCancel(sagaId, before);
    await this.settings.cancelled(sagaId);
    const { status: after } = await findSaga(this.settings.storage, sagaId);
    return { sagaId, before, after };
  }

  private async intervene(action: SagaIntervention, { id, step, by }: Request): Promise<SagaChange> {
    const sagaId = writtenAsOurs(id);
    const audit = auditOf(action, sagaId, by);
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const { row, saga } = await this.read(sagaId, step);
      const { status, epoch } = row;
      const { seq } = saga.state;
      const decision = decide(action, saga, audit);
      const concerns = step === undefined ? {} : { step };
      const before = { status, epoch, ...concerns };
      const after = { status: decision.status, epoch: epoch + 1, ...concerns };
      const change = {
        sagaId,
        seen: { epoch, status, seq },
        ...decision,
        audit: { ...audit, before, after },
      };
      if (!(await this.settings.interventions.intervene(change))) continue;
      this.settings.taken({ sagaId, epoch });
      return { sagaId, before: status, after: decision.status };
    }
    throw new IllegalTransitionError(`saga ${sagaId} changes all the time; try again`);
  }

  private async read(sagaId: string, step: string | undefined): Promise<{ row: SagaRow; saga: SagaCase }> {
    const row = await findSaga(this.settings.storage, sagaId);
    const { name, version, status, epoch, cancelRequested, launch } = row;
    const journal = await this.settings.storage.journal(sagaId);
    const definition = await this.definitionOf(row);
    if (!definition)
      throw new IllegalTransitionError(
        `saga ${sagaId} is ${status}: the steps of version ${version} of saga "${name}" are not stored`,
      );
    return {
      row,
      saga: {
        sagaId,
        status,
        epoch,
        cancelRequested,
        definition,
        step,
        state: stateAfter(definition, launch, journal),
      },
    };
  }

  /** As it was stored when the saga was started, so that no process needs its code to say where it stands. */
  private async definitionOf({
    name,
    version,
    definition: hash,
  }: SagaRow): Promise<SagaDefinition | undefined> {
    const { storage, registry } = this.settings;
    const data = await storage.findDefinition({ name, version, hash });
    const stored =
      data === undefined
        ? undefined
        : storedDefinition({ name, version }, JSON.parse(data) as DefinitionData);
    return stored ?? registry.find(name, version);
  }
}

interface Request {
  /** As the operator gave it. */
  readonly id: string;
  readonly step?: string;
  readonly by: Operator;
}

function drawn(definition: SagaDefinition, { launch }: SagaRow, journal: readonly JournalEntry[]): string {
  const state = stateAfter(definition, launch, journal);
  return definition.graph.toMermaid((step) => `${step}: ${stateOf(state, step).status}`);
}
