import type { EntityManager } from 'typeorm';
import {
  BarrierStorage,
  type ActionResult,
  type BarrierCommand,
  type KnownAction,
  type UndoResult,
} from '../../inbox/barrier-storage.js';
import { handlerTransaction } from './handler-transaction.js';
import * as sql from './sql/inbox-sql.js';
import type { TypeOrmInboxSettings } from './typeorm-inbox-storage.js';

/** An undo notes the action, too: whoever of both comes second waits for the first, and finds its row. */
export class TypeOrmBarrierStorage extends BarrierStorage<EntityManager> {
  constructor(private readonly settings: TypeOrmInboxSettings) {
    super();
  }

  action<T>(command: BarrierCommand, work: (tx: EntityManager) => Promise<T>): Promise<ActionResult<T>> {
    const { scope, tables } = this.settings;
    return this.transaction(async (manager): Promise<ActionResult<T>> => {
      if (await this.enter(manager, command, 'action'))
        return { status: 'done', value: await scope.run(manager, () => work(manager)) };
      const { sagaId, step } = command;
      const undos = await manager.query<unknown[]>(sql.hasUndoSql(tables), [sagaId, step]);
      return { status: undos.length > 0 ? 'refused' : 'duplicate' };
    });
  }

  undo<T>(
    command: BarrierCommand,
    work: (tx: EntityManager, action: KnownAction) => Promise<T>,
  ): Promise<UndoResult<T>> {
    const { scope } = this.settings;
    return this.transaction(async (manager): Promise<UndoResult<T>> => {
      if (!(await this.enter(manager, command, 'undo'))) return { status: 'duplicate' };
      const never = await this.enter(manager, command, 'action');
      if (never && !(await this.isForgotten(manager, command))) return { status: 'nothing' };
      const action = never ? 'unknown' : 'completed';
      return { status: 'undone', value: await scope.run(manager, () => work(manager, action)) };
    });
  }

  async forget(retentionMs: number, limit: number): Promise<number> {
    const { engine, tables } = this.settings;
    const [row] = await engine.query<{ count: number }[]>(sql.forgetBarrierSql(tables), [retentionMs, limit]);
    return row?.count ?? 0;
  }

  /** Within that of the message that brought the command: a second connection may not be had while the first waits for it. */
  private transaction<T>(work: (manager: EntityManager) => Promise<T>): Promise<T> {
    return this.settings.scope.nested(work) ?? handlerTransaction(this.settings, work);
  }

  private async enter(
    manager: EntityManager,
    { sagaId, step }: BarrierCommand,
    op: 'action' | 'undo',
  ): Promise<boolean> {
    const { tables } = this.settings;
    return (await manager.query<unknown[]>(sql.barrierSql(tables), [sagaId, step, op])).length > 0;
  }

  private async isForgotten(
    manager: EntityManager,
    { sagaId, sagaStartedAt }: BarrierCommand,
  ): Promise<boolean> {
    const { tables } = this.settings;
    const parameters = [sagaId, sagaStartedAt];
    const [row] = await manager.query<{ forgotten: boolean }[]>(sql.isForgottenSql(tables), parameters);
    return row?.forgotten === true;
  }
}
