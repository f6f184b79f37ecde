import { writtenAsOurs } from '../../events/uuid-v7.js';
import type { Clock } from '../../runtime/clock.js';
import {
  factsOfCancel,
  InterventionStorage,
  type CancelOutcome,
  type Intervention,
} from '../../saga/intervention-storage.js';
import type { SagaStorage } from '../../saga/saga-storage.js';
import type { AuditFilter, AuditRecord, NewAudit } from '../../saga/state/audit.js';
import { isEnded } from '../../saga/state/saga-status.js';
import type { MemoryDatabase, MemorySaga } from './memory-database.js';

/** Changes by operators, in memory. */
export class MemoryInterventionStorage extends InterventionStorage {
  constructor(
    private readonly database: MemoryDatabase,
    private readonly sagas: SagaStorage<undefined>,
    private readonly clock: Clock,
  ) {
    super();
  }

  intervene(intervention: Intervention): Promise<boolean> {
    const { sagaId, seen, audit } = intervention;
    const row = this.database.sagas.get(sagaId);
    const same = row?.epoch === seen.epoch && row.status === seen.status && row.journal.length === seen.seq;
    if (!row || !same || (intervention.launchesPivot && row.cancelRequested)) return Promise.resolve(false);
    this.take(row, intervention);
    this.database.note(audit, this.clock.now());
    return Promise.resolve(true);
  }

  async cancel(sagaId: string, audit: NewAudit): Promise<CancelOutcome> {
    const row = this.database.sagas.get(writtenAsOurs(sagaId));
    if (!row) return { answer: 'not_found' };
    const { status: before } = row;
    const isNew = before !== 'compensating' && !row.cancelRequested;
    const answer = await this.sagas.requestCancel(sagaId);
    if (answer === 'requested' && isNew)
      this.database.note({ ...audit, ...factsOfCancel(row) }, this.clock.now());
    return answer === 'not_found' ? { answer } : { answer, before };
  }

  audits({ target, actor, action, before }: AuditFilter, limit: number): Promise<readonly AuditRecord[]> {
    const found = this.database.audits.filter(
      (it) =>
        (target === undefined || it.target === target) &&
        (actor === undefined || it.actor === actor) &&
        (action === undefined || it.action === action) &&
        (before === undefined || Number(it.id) < Number(before)),
    );
    return Promise.resolve(found.reverse().slice(0, limit));
  }

  private take(row: MemorySaga, { seen, entries, status, launchesPivot }: Intervention): void {
    row.epoch += 1;
    row.owner = undefined;
    row.wakeAt = undefined;
    for (const [index, entry] of entries.entries()) {
      const numbers = { seq: seen.seq + index + 1, epoch: row.epoch, attempt: 0, launch: [] };
      row.journal.push({ entry: { ...entry, ...numbers }, at: this.clock.monotonic() });
    }
    if (launchesPivot) row.pivotLaunched = true;
    row.status = status;
    if (isEnded(status)) return;
    Object.assign(row, { endedAt: null, results: null, error: null });
    this.database.unfinished.add(row);
  }
}
