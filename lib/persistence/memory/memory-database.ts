import { SHARD_COUNT } from '../../events/shard.js';
import type { OutboxRecord } from '../../events/outbox-event.js';
import type { PendingEvent } from '../../outbox/outbox-storage.js';
import type { DeadLetter } from '../../outbox/retry-storage.js';
import type { NewSaga, StoredDefinition, StoredSignal } from '../../saga/saga-storage.js';
import type { AuditRecord } from '../../saga/state/audit.js';
import type { JournalEntry } from '../../saga/state/journal.js';
import type { SagaStatus } from '../../saga/state/saga-status.js';
import type { SagaVersion } from '../../saga/state/saga-version.js';

/** One saga in memory: what PostgreSQL keeps in saga_instance, saga_payload and saga_journal. */
export interface MemorySaga {
  readonly saga: NewSaga;
  readonly startedAt: Date;
  readonly journal: MemoryEntry[];
  readonly signals: StoredSignal[];
  status: SagaStatus;
  epoch: number;
  owner: string | undefined;
  endedAt: Date | null;
  results: string | null;
  error: string | null;
  /** Points in time of the monotonic clock. */
  readonly deadlineAt: number | undefined;
  wakeAt: number | undefined;
  cancelRequested: boolean;
  pivotLaunched: boolean;
}

export interface MemoryKey {
  readonly sagaId: string;
  readonly inputHash: string;
  /** By the monotonic clock. */
  readonly at: number;
}

export interface MemoryEntry {
  readonly entry: JournalEntry;
  /** By the monotonic clock. */
  readonly at: number;
}

export interface MemoryWorker {
  relays: boolean;
  leaseMs: number;
  heartbeatAt: number;
  definitions?: readonly SagaVersion[];
  /** It was declared so; it does not come back under this id. */
  dead: boolean;
}

export interface MemoryRetry {
  readonly seq: bigint;
  readonly event: PendingEvent;
  readonly blocks: boolean;
  attempts: number;
  reason: string | undefined;
  /** By the monotonic clock. */
  nextAt: number | undefined;
  parkedAt: Date | undefined;
}

export interface MemoryDeadLetter {
  readonly letter: DeadLetter;
  readonly event: PendingEvent;
}

/** What memory storages share: one process's sagas and events, gone when it ends. */
export class MemoryDatabase {
  readonly sagas = new Map<string, MemorySaga>();
  /** Those of them that have not ended: claims look at nothing else. */
  readonly unfinished = new Set<MemorySaga>();
  /** Idempotency keys, by saga name and key. */
  readonly keys = new Map<string, MemoryKey>();
  readonly definitions = new Map<string, StoredDefinition>();
  readonly workers = new Map<string, MemoryWorker>();
  readonly events = new Map<bigint, PendingEvent>();
  readonly shardOwners: (string | undefined)[] = Array.from({ length: SHARD_COUNT });
  readonly retries = new Map<bigint, MemoryRetry>();
  /** By event id and destination. */
  readonly deadLetters = new Map<string, MemoryDeadLetter>();
  readonly audits: AuditRecord[] = [];
  private lastEventId = 0n;
  private lastRetry = 0n;

  /** @param now by the wall clock */
  note(audit: Omit<AuditRecord, 'id' | 'at' | 'before' | 'after'> & Partial<AuditRecord>, now: number): void {
    const id = String(this.audits.length + 1);
    this.audits.push({ before: null, after: null, ...audit, id, at: new Date(now) });
  }

  addRetry(retry: Omit<MemoryRetry, 'seq'>): void {
    const seq = ++this.lastRetry;
    this.retries.set(seq, { ...retry, seq });
  }

  /** @param now by the monotonic clock */
  addEvents(records: readonly OutboxRecord[], now: number): void {
    for (const { delayMs, ...record } of records) {
      const event = { id: ++this.lastEventId, createdMs: Date.now(), ...record };
      if (delayMs === undefined) this.events.set(event.id, event);
      else this.postpone({ ...event, stampedMs: event.createdMs + delayMs }, now + delayMs);
    }
  }

  private postpone(event: PendingEvent, nextAt: number): void {
    this.addRetry({
      ...{ event, nextAt, attempts: 0 },
      blocks: false,
      reason: undefined,
      parkedAt: undefined,
    });
  }

  /** Milliseconds since a worker was last heard of; undefined when it is not known. */
  silence(workerId: string, now: number): number | undefined {
    const worker = this.workers.get(workerId);
    return worker && now - worker.heartbeatAt;
  }

  /** Nobody needs to ask it before taking what it owns. */
  isDead(workerId: string, now: number): boolean {
    const worker = this.workers.get(workerId);
    return worker === undefined || worker.dead || now - worker.heartbeatAt > worker.leaseMs;
  }
}
