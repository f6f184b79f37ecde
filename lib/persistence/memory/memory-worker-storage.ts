import type { Clock } from '../../runtime/clock.js';
import { WorkerStorage, type WorkerBeat } from '../../saga/worker-storage.js';
import type { MemoryDatabase } from './memory-database.js';

/** Workers in memory: in an application the one process itself, in tests several. */
export class MemoryWorkerStorage extends WorkerStorage {
  readonly sight = 'memory';

  constructor(
    private readonly database: MemoryDatabase,
    private readonly clock: Clock,
  ) {
    super();
  }

  heartbeat({ id, relays, leaseMs, definitions = [] }: WorkerBeat): Promise<boolean> {
    const { workers } = this.database;
    const dead = workers.get(id)?.dead === true;
    const heartbeatAt = this.clock.monotonic();
    if (!dead) workers.set(id, { relays, leaseMs, definitions, heartbeatAt, dead });
    return Promise.resolve(!dead);
  }

  findDead(): Promise<readonly string[]> {
    const now = this.clock.monotonic();
    const dead = [...this.database.workers].filter(([id]) => this.database.isDead(id, now));
    for (const [, worker] of dead) worker.dead = true;
    return Promise.resolve(dead.map(([id]) => id));
  }

  stepAside(workerId: string): Promise<boolean> {
    const now = this.clock.monotonic();
    const { workers } = this.database;
    const others = [...workers].some(
      ([id, { relays }]) => id !== workerId && relays && !this.database.isDead(id, now),
    );
    const own = workers.get(workerId);
    if (others && own) own.relays = false;
    return Promise.resolve(others && own !== undefined);
  }

  first(): Promise<string | undefined> {
    const now = this.clock.monotonic();
    return Promise.resolve([...this.database.workers.keys()].find((id) => !this.database.isDead(id, now)));
  }

  retire(workerId: string): Promise<void> {
    this.database.workers.delete(workerId);
    return Promise.resolve();
  }
}
