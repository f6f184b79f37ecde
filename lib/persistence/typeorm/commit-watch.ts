import type { DataSource, EntitySubscriberInterface, QueryRunner } from 'typeorm';

/**
 * Tells when a caller's transaction has committed, however it was opened: TypeORM calls the subscribers of a DataSource
 * after each COMMIT of its query runners.
 */
export class CommitWatch {
  private readonly waiting = new WeakMap<QueryRunner, Set<() => void>>();
  private readonly subscriber: EntitySubscriberInterface = {
    afterTransactionCommit: ({ queryRunner }) => {
      // The end of a nested transaction is no commit.
      if (!queryRunner.isTransactionActive) this.tell(queryRunner);
    },
    afterTransactionRollback: ({ queryRunner }) => {
      if (!queryRunner.isTransactionActive) this.waiting.delete(queryRunner);
    },
  };

  constructor(private readonly application: DataSource) {}

  open(): void {
    this.application.subscribers.push(this.subscriber);
  }

  close(): void {
    const { subscribers } = this.application;
    const index = subscribers.indexOf(this.subscriber);
    if (index >= 0) subscribers.splice(index, 1);
  }

  /** The application has subscribers of its own. */
  get hasCompany(): boolean {
    return this.application.subscribers.some((it) => it !== this.subscriber);
  }

  /** Calls back once the transaction that is open on the runner has committed; never when it is rolled back. */
  after(runner: QueryRunner, callback: () => void): void {
    const callbacks = this.waiting.get(runner) ?? new Set();
    this.waiting.set(runner, callbacks.add(callback));
  }

  private tell(runner: QueryRunner): void {
    const callbacks = this.waiting.get(runner);
    this.waiting.delete(runner);
    for (const callback of callbacks ?? []) callback();
  }
}
