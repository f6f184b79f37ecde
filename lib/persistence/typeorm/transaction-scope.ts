import { AsyncLocalStorage } from 'node:async_hooks';
import type { EntityManager } from 'typeorm';
import { Turn } from '../../runtime/turn.js';

interface Around {
  readonly manager: EntityManager;
  /** Nested transactions end in the reverse order of their beginning. */
  readonly turn: Turn;
}

/** The transaction around a caller, along its asynchronous calls. */
export class TransactionScope {
  private readonly storage = new AsyncLocalStorage<Around>();

  run<T>(manager: EntityManager, work: () => Promise<T>): Promise<T> {
    return this.storage.run({ manager, turn: new Turn() }, work);
  }

  /** Undefined outside, and once the transaction has ended. */
  current(): EntityManager | undefined {
    const manager = this.storage.getStore()?.manager;
    return manager?.queryRunner?.isTransactionActive ? manager : undefined;
  }

  /**
   * Runs the work in a nested transaction of the one around the caller; such work waits for its turn there.
   * @returns undefined when there is none any more; rejects when something has ended it in a handler that goes on
   */
  nested<T>(work: (manager: EntityManager) => Promise<T>): Promise<T> | undefined {
    const around = this.storage.getStore();
    if (around?.manager.queryRunner?.isReleased !== false) return undefined;
    return around.turn.run(() => around.manager.transaction(work));
  }
}
