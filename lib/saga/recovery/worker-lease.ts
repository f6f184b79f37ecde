import type { Clock } from '../../runtime/clock.js';
import type { Log } from '../../runtime/log.js';
import { PollingLoop } from '../../runtime/polling-loop.js';
import { Turn } from '../../runtime/turn.js';
import type { WorkerIdentity } from '../../runtime/worker-identity.js';
import type { SagaStorage } from '../saga-storage.js';

export interface WorkerLeaseSettings {
  readonly id: string;
  readonly leaseMs: number;
  readonly storage: SagaStorage;
  readonly clock: Clock;
  readonly log: Log;
}

/** Heartbeats per lease: a worker may miss a few before it counts as dead. */
const BEATS = 5;

/** Keeps this process known as alive: a heartbeat every fifth of the lease. */
export class WorkerLease implements WorkerIdentity {
  private readonly loop: PollingLoop;
  private validUntil = -Infinity;
  private relays = false;
  /** One beat at a time: an older one must not land after a newer one. */
  private readonly turn = new Turn();

  constructor(private readonly settings: WorkerLeaseSettings) {
    const interval = settings.leaseMs / BEATS;
    const round = () => this.beat().then(() => false);
    this.loop = new PollingLoop({ ...settings, name: 'heartbeat', round, interval, maxInterval: interval });
  }

  get id(): string {
    return this.settings.id;
  }

  /** Registers the worker; resolves once it is known to the others. */
  async start(): Promise<void> {
    // Rows of processes that ended without a word go when another one starts.
    await this.settings.storage.retire(this.id);
    await this.beat();
    this.loop.start();
  }

  remainingMs(): number {
    return Math.max(0, this.validUntil - this.settings.clock.monotonic());
  }

  /** Says whether this process takes a share of the events; known to the others when it resolves. */
  async setRelays(relays: boolean): Promise<void> {
    this.relays = relays;
    await this.beat();
  }

  /** @param everythingEnded false when something of this worker may still run: then only its lease frees it */
  async stop(everythingEnded: boolean): Promise<void> {
    await this.loop.stop();
    this.validUntil = -Infinity;
    if (everythingEnded) await this.settings.storage.retire(this.id);
  }

  /** The lease is counted from before the heartbeat was sent, less one beat, so this process stops before others start. */
  private beat(): Promise<void> {
    return this.turn.run(() => this.send());
  }

  private async send(): Promise<void> {
    const { clock, leaseMs, storage } = this.settings;
    const sentAt = clock.monotonic();
    await storage.heartbeat({ id: this.id, relays: this.relays });
    this.validUntil = sentAt + leaseMs - leaseMs / BEATS;
  }
}
