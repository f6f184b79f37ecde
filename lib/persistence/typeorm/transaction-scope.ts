import { AsyncLocalStorage } from 'node:async_hooks';
import type { EntityManager } from 'typeorm';

/** The transaction around a caller, along its asynchronous calls. */
export class TransactionScope {
  private readonly storage = new AsyncLocalStorage<EntityManager>();

  run<T>(manager: EntityManager, work: () => Promise<T>): Promise<T> {
    return this.storage.run(manager, work);
  }

  /** Undefined outside, and once the transaction has ended. */
  current(): EntityManager | undefined {
    const manager = this.storage.getStore();
    return manager?.queryRunner?.isTransactionActive ? manager : undefined;
  }
}
