import { createHash } from 'node:crypto';
import type { DataSource } from 'typeorm';
import type { Clock } from '../../runtime/clock.js';
import { OutboxSignal } from '../../outbox/outbox-signal.js';
import { EngineConnection, type Statement } from './engine-connection.js';

export interface TypeOrmOutboxSignalSettings {
  readonly engine: DataSource;
  readonly schema: string;
  readonly clock: Clock;
  /** Whether a connection is a session of the server: only then can it listen. */
  readonly sessions: () => boolean;
  /** False tells and hears nobody but this process. */
  readonly notify: boolean;
}

/** Every NOTIFY takes a lock of the whole database cluster at its commit, so no process sends more than one in this time. */
const QUIET_MS = 20;

/** Signals by NOTIFY, on a connection of its own and after the commit: never in a transaction of the application. */
export class TypeOrmOutboxSignal extends OutboxSignal {
  private readonly connection: EngineConnection;
  private readonly notification: Statement;
  private readonly listeners = new Set<() => void>();
  private readonly channel: string;
  /** One is on its way or was not long ago; another one follows if somebody tells meanwhile. */
  private quiet = false;
  private again = false;
  private closed = false;

  constructor(private readonly settings: TypeOrmOutboxSignalSettings) {
    super();
    const { engine, sessions, schema } = settings;
    const hash = createHash('sha256').update(schema).digest('hex').slice(0, 8);
    this.channel = `sagaz_outbox_${hash}`;
    this.notification = { name: 'sagaz_notify', text: `SELECT pg_notify('${this.channel}', '')` };
    this.connection = new EngineConnection({
      ...{ engine, named: sessions },
      opened: async (query) => {
        if (this.listeners.size === 0 || !sessions()) return;
        await query({ name: 'sagaz_listen', text: `LISTEN ${this.channel}` }, []);
        // What was told while nobody listened.
        this.hear();
      },
      notified: () => this.hear(),
      lost: () => void this.ready(),
    });
  }

  tell(): void {
    this.hear();
    if (!this.settings.notify || this.closed) return;
    if (this.quiet) this.again = true;
    else void this.send();
  }

  listen(told: () => void): () => void {
    this.listeners.add(told);
    if (this.settings.notify && this.settings.sessions()) void this.ready();
    return () => this.listeners.delete(told);
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.connection.close();
  }

  private hear(): void {
    for (const told of this.listeners) told();
  }

  private async send(): Promise<void> {
    this.quiet = true;
    do {
      this.again = false;
      // Nothing is lost with a signal: relays look by themselves.
      const sent = this.connection.query(this.notification, []).catch(() => undefined);
      await Promise.all([sent, this.settings.clock.delay(QUIET_MS)]);
    } while (this.mustSend);
    this.quiet = false;
  }

  /** Somebody has told while the last one was on its way. */
  private get mustSend(): boolean {
    return this.again && !this.closed;
  }

  /** Listens, now or when the database is there again. */
  private async ready(): Promise<void> {
    while (!this.closed && this.listeners.size > 0) {
      try {
        await this.connection.ready();
        return;
      } catch {
        await this.settings.clock.delay(RECONNECT_MS);
      }
    }
  }
}

const RECONNECT_MS = 1_000;
