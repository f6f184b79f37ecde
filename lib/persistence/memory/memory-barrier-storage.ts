import type { Clock } from '../../runtime/clock.js';
import { Turn } from '../../runtime/turn.js';
import {
  BarrierStorage,
  type ActionResult,
  type BarrierCommand,
  type KnownAction,
  type UndoResult,
} from '../../inbox/barrier-storage.js';

/** What is known of one step of one saga; times by the clock of this host. */
interface Entry {
  readonly sagaId: string;
  /** Whoever comes second waits for the first. */
  readonly turn: Turn;
  actionAt: number | undefined;
  undoAt: number | undefined;
}

/** In memory: for tests and first steps. What a failing handler has changed is not taken back. */
export class MemoryBarrierStorage extends BarrierStorage<undefined> {
  private readonly entries = new Map<string, Entry>();

  constructor(private readonly clock: Clock) {
    super();
  }

  action<T>(command: BarrierCommand, work: (tx: undefined) => Promise<T>): Promise<ActionResult<T>> {
    const entry = this.entryOf(command);
    return entry.turn.run(async (): Promise<ActionResult<T>> => {
      if (entry.actionAt !== undefined)
        return { status: entry.undoAt === undefined ? 'duplicate' : 'refused' };
      const value = await work(undefined);
      entry.actionAt = this.clock.now();
      return { status: 'done', value };
    });
  }

  undo<T>(
    command: BarrierCommand,
    work: (tx: undefined, action: KnownAction) => Promise<T>,
  ): Promise<UndoResult<T>> {
    const entry = this.entryOf(command);
    return entry.turn.run(async (): Promise<UndoResult<T>> => {
      if (entry.undoAt !== undefined) return { status: 'duplicate' };
      const never = entry.actionAt === undefined;
      const skips = never && !this.isForgotten(command);
      const value = skips ? undefined : await work(undefined, never ? 'unknown' : 'completed');
      entry.undoAt = this.clock.now();
      entry.actionAt ??= entry.undoAt;
      return skips ? { status: 'nothing' } : { status: 'undone', value: value as T };
    });
  }

  forget(retentionMs: number, limit: number): Promise<number> {
    const before = this.clock.now() - retentionMs;
    const old = [...this.entries].filter(([, { actionAt = Infinity }]) => actionAt < before).slice(0, limit);
    for (const [name] of old) this.entries.delete(name);
    return Promise.resolve(old.length);
  }

  private entryOf({ sagaId, step }: BarrierCommand): Entry {
    const name = `${sagaId} ${step}`;
    const entry = this.entries.get(name) ?? {
      sagaId,
      turn: new Turn(),
      actionAt: undefined,
      undoAt: undefined,
    };
    this.entries.set(name, entry);
    return entry;
  }

  private isForgotten({ sagaId, sagaStartedAt }: BarrierCommand): boolean {
    const others = [...this.entries.values()].filter((entry) => entry.sagaId !== sagaId);
    return others.every(({ actionAt = Infinity }) => actionAt > sagaStartedAt.getTime());
  }
}
