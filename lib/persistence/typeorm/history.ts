import type { EngineConnection, Statement } from './engine-connection.js';

/** The first part of the name of a WAL file is the timeline; a standby has another one from its promotion on. */
const TIMELINE: Statement = {
  name: 'sagaz_timeline',
  text: 'SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8) AS timeline',
};

/**
 * Which history of the database this process knows. A standby that was promoted may lack the last commits of the server
 * that was lost: what this process remembers of its sagas may be more than what is stored. Then nothing may be written
 * on top of it, until the process has let go of everything and reads its sagas anew. A restart changes nothing.
 */
export class History {
  private timeline: string | undefined;
  private changes = 0;
  private broken = false;

  /** Looks at the server behind a new connection. */
  async check(query: EngineConnection['query']): Promise<void> {
    const [row] = await query<{ timeline: string }>(TIMELINE, []);
    if (this.timeline !== undefined && this.timeline !== row?.timeline) {
      this.broken = true;
      this.changes += 1;
    }
    this.timeline = row?.timeline;
  }

  /** Another one after each change: what was begun under an older one is void. */
  get number(): number {
    return this.changes;
  }

  /** From a change on, until somebody has made sure that nothing of the old history is remembered. */
  get isBroken(): boolean {
    return this.broken;
  }

  accept(): void {
    this.broken = false;
  }
}
