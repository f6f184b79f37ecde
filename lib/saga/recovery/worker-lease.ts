import type { Clock } from '../../runtime/clock.js';
import type { Log } from '../../runtime/log.js';
import { PollingLoop } from '../../runtime/polling-loop.js';
import { Turn } from '../../runtime/turn.js';
import type { WorkerIdentity } from '../../runtime/worker-identity.js';
import { FencedError } from '../state/errors.js';
import type { SagaVersion } from '../state/saga-version.js';
import type { WorkerStorage } from '../worker-storage.js';

export interface WorkerLeaseSettings {
  /** The name of this process; it becomes another one's when it was declared dead. */
  readonly id: string;
  readonly leaseMs: number;
  readonly workers: WorkerStorage;
  /** What this process can run. */
  readonly definitions: () => readonly SagaVersion[];
  readonly clock: Clock;
  readonly log: Log;
  /** Called when others may have taken what this process owns: nothing that it runs may go on. */
  readonly lost: (reason: FencedError) => void;
  /** Called with workers that were found dead: what they owned may be claimed. */
  readonly found: (dead: readonly string[]) => void;
}

/** Heartbeats per lease: a worker may miss a few before it counts as dead. */
const BEATS = 5;
/** A process that was killed is noticed in two looks. */
const LOOK_INTERVAL_MS = 250;

/**
 * Keeps this process known as alive, with a heartbeat every fifth of the lease, and looks for others that are not.
 * When the lease runs out here, or the process finds itself declared dead, it lets go of everything before others begin.
 */
export class WorkerLease implements WorkerIdentity {
  private readonly loops: readonly PollingLoop[];
  private validUntil = -Infinity;
  private relays = false;
  /** How often this process was declared dead and came back under another name. */
  private returns = 0;
  /** Those that it has been told of. */
  private dead = new Set<string>();
  private cancelExpiry: (() => void) | undefined;
  /** One beat at a time: an older one must not land after a newer one. */
  private readonly turn = new Turn();

  constructor(private readonly settings: WorkerLeaseSettings) {
    const { leaseMs } = settings;
    this.loops = [
      this.every('heartbeat', leaseMs / BEATS, () => this.beat()),
      this.every('looking for dead workers', Math.min(LOOK_INTERVAL_MS, leaseMs / BEATS), () => this.look()),
    ];
  }

  get id(): string {
    return this.returns === 0 ? this.settings.id : `${this.settings.id}.${this.returns}`;
  }

  /** Registers the worker; resolves once it is known to the others. */
  async start(): Promise<void> {
    // Rows of processes that ended without a word go when another one starts.
    await this.settings.workers.retire(this.id);
    await this.beat();
    for (const loop of this.loops) loop.start();
  }

  remainingMs(): number {
    return Math.max(0, this.validUntil - this.settings.clock.monotonic());
  }

  /** Says whether this process takes a share of the events; known to the others when it resolves. */
  async setRelays(relays: boolean): Promise<void> {
    this.relays = relays;
    await this.beat();
  }

  /** Leaves its share of the events to others. @returns false, and changes nothing, when nobody else relays */
  stepAside(): Promise<boolean> {
    return this.turn.run(async () => {
      const left = await this.settings.workers.stepAside(this.id);
      if (left) this.relays = false;
      return left;
    });
  }

  /** @param everythingEnded false when something of this worker may still run: then only its lease frees it */
  async stop(everythingEnded: boolean): Promise<void> {
    await Promise.all(this.loops.map((loop) => loop.stop()));
    this.cancelExpiry?.();
    this.validUntil = -Infinity;
    if (everythingEnded) await this.settings.workers.retire(this.id);
  }

  private every(name: string, interval: number, work: () => Promise<void>): PollingLoop {
    const round = () => work().then(() => false);
    return new PollingLoop({ ...this.settings, name, round, interval, maxInterval: interval });
  }

  private beat(): Promise<void> {
    return this.turn.run(() => this.send());
  }

  /** The lease is counted from before the heartbeat was sent, less one beat, so this process stops before others start. */
  private async send(): Promise<void> {
    const { clock, leaseMs, workers } = this.settings;
    const sentAt = clock.monotonic();
    const alive = await workers.heartbeat({
      ...{ id: this.id, relays: this.relays, leaseMs },
      definitions: this.settings.definitions(),
    });
    if (!alive) return this.comeBack();
    this.validUntil = sentAt + leaseMs - leaseMs / BEATS;
    this.cancelExpiry?.();
    this.cancelExpiry = clock.after(this.remainingMs(), () => this.expire());
  }

  /** What it owned may be others' by now, and its old name is used up. */
  private comeBack(): Promise<void> {
    const { log, lost } = this.settings;
    this.validUntil = -Infinity;
    const old = this.id;
    this.returns += 1;
    log.warn(`worker ${old} was declared dead, and goes on as ${this.id}`);
    lost(new FencedError('this process was declared dead: it was not heard of for its lease'));
    return this.send();
  }

  /** No heartbeat came through for so long that others may take over. */
  private expire(): void {
    if (this.remainingMs() > 0) return;
    this.settings.lost(new FencedError('the lease of this process has run out'));
  }

  private async look(): Promise<void> {
    const dead = await this.settings.workers.findDead();
    const fresh = [...new Set(dead)].filter((id) => !this.dead.has(id));
    this.dead = new Set(dead);
    if (fresh.length > 0) this.settings.found(fresh);
  }
}
