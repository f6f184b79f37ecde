import { backOffMs, REDELIVERY, type BackOff } from '../../runtime/back-off.js';
import { systemClock } from '../../runtime/clock.js';
import { Deferred } from '../../runtime/deferred.js';
import { errorText } from '../../runtime/error-text.js';
import { Lanes } from '../../runtime/lanes.js';
import type { Log } from '../../runtime/log.js';
import { processName } from '../../runtime/process-name.js';
import { within } from '../../runtime/within.js';
import { BrokerUnavailableError } from '../../saga/state/errors.js';
import { Link } from '../link.js';
import { messageOf, type StreamEntry, type StreamMessage } from './stream-entry.js';
import { StreamGroup } from './stream-group.js';
import type { ResolvedStreamOptions } from './stream-options.js';

/** Before a server that has failed is asked again. */
const RECONNECT: BackOff = { initialInterval: 100, multiplier: 2, maxInterval: 5_000, jitter: 'full' };

/** Between two looks for what the dead have left, at most. */
const LOOK_EVERY_MS = 5_000;
/** For leaving the group in good form. */
const LEAVE_MS = 2_000;

export interface StreamConsumerSettings {
  readonly options: ResolvedStreamOptions;
  readonly types: readonly string[];
  /** An event that it throws for comes again. `bury` takes it out of the stream. */
  readonly handle: (message: StreamMessage, bury: (error: Error) => Promise<void>) => Promise<void>;
  readonly log: Log;
}

/**
 * Hands out the events of streams: those of one key one after the other, others at the same time. An event is acknowledged
 * when its handler is done, and handed out again when that fails; what comes after it in its key waits. What a process
 * that has died had in hand goes to another one.
 */
export class StreamConsumer {
  private readonly link: Link<StreamGroup>;
  private readonly inHand = new Map<string, StreamEntry>();
  private readonly lanes = new Lanes();
  private readonly stopping = new AbortController();
  private freed = new Deferred<void>();
  private running: Promise<void> | undefined;
  private lastError: string | undefined;
  private nextLook = 0;
  private beating: NodeJS.Timeout | undefined;

  constructor(private readonly settings: StreamConsumerSettings) {
    const { options, types } = settings;
    const consumer = processName();
    let from: '0' | '$' = options.fromBeginning ? '0' : '$';
    this.link = new Link({
      open: async () => {
        const group = await StreamGroup.join({ options, types, consumer }, from);
        // A group that has to be made again must not pass over anything.
        from = '0';
        return group;
      },
      end: async (group) => group.close(),
    });
  }

  /** A server that is down is waited for. @throws BrokerUnavailableError when it refuses this client */
  async start(): Promise<void> {
    try {
      const group = await this.link.get();
      await group.forgetOthers().catch((error: unknown) => this.tell(error));
    } catch (error) {
      if (!(error instanceof BrokerUnavailableError) || error.refused) throw error;
      this.tell(error);
    }
    if (this.stopping.signal.aborted) return;
    const { claimAfter } = this.settings.options;
    this.beating = setInterval(() => void this.beat(), claimAfter / 3);
    this.running = this.loop();
  }

  /** Takes no more, waits for the handlers, and gives back what they have not done. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.freed.resolve();
    const { shutdownTimeout } = this.settings.options;
    const work = Promise.resolve(this.running).then(() => this.lanes.settled());
    await within(systemClock, shutdownTimeout, work);
    clearInterval(this.beating);
    const leaving = this.depart().catch((error: unknown) => this.tell(error));
    await within(systemClock, LEAVE_MS, leaving);
    await within(systemClock, LEAVE_MS, this.link.close());
  }

  private async depart(): Promise<void> {
    const group = await this.link.get();
    await group.release([...this.inHand.values()]);
    await group.leave();
  }

  private async loop(): Promise<void> {
    let failures = 0;
    let known: StreamGroup | undefined;
    while (!this.stopping.signal.aborted) {
      const group = await this.link.get().catch((error: unknown) => this.tell(error));
      const went = group !== undefined && (await this.round(group, group !== known));
      if (went) known = group;
      failures = went ? 0 : failures + 1;
      if (!went) await systemClock.delay(backOffMs(RECONNECT, failures), this.stopping.signal);
    }
  }

  /** @returns whether it went well */
  private async round(group: StreamGroup, isNew: boolean): Promise<boolean> {
    try {
      // Of a reply that was lost; before anything newer of its keys.
      if (isNew) this.take(await group.readAgain());
      while (this.space < 1 && !this.stopping.signal.aborted) await this.freed.promise;
      if (performance.now() >= this.nextLook) {
        this.take(await group.claim(this.space));
        this.nextLook = performance.now() + Math.min(this.settings.options.claimAfter / 2, LOOK_EVERY_MS);
      }
      if (this.space > 0) this.take(await group.read(this.space));
      this.lastError = undefined;
      return true;
    } catch (error) {
      this.tell(error);
      this.link.drop(group);
      return false;
    }
  }

  private get space(): number {
    return this.settings.options.prefetch - this.inHand.size;
  }

  private take(entries: readonly StreamEntry[]): void {
    for (const entry of entries) {
      const place = nameOf(entry);
      // One that was not acknowledged in time comes once more.
      if (this.inHand.has(place)) continue;
      this.inHand.set(place, entry);
      const message = this.read(entry);
      this.lanes.run(`${entry.type} ${message instanceof Error ? entry.id : message.key}`, async () => {
        if (!(await this.work(entry, message))) return;
        this.inHand.delete(place);
        this.freed.resolve();
        this.freed = new Deferred();
      });
    }
  }

  private read(entry: StreamEntry): StreamMessage | Error {
    try {
      return messageOf(entry);
    } catch (error) {
      return error as Error;
    }
  }

  /** @returns false when it was not done because of the shutdown */
  private async work(entry: StreamEntry, message: StreamMessage | Error): Promise<boolean> {
    for (let failures = 0; !this.stopping.signal.aborted;) {
      try {
        await this.handle(entry, message);
        // When that fails the event comes again, from Redis.
        await this.onGroup((group) => group.acknowledge(entry)).catch((error: unknown) => this.tell(error));
        return true;
      } catch (error) {
        failures += 1;
        const pause = backOffMs(REDELIVERY, failures);
        this.settings.log.warn(`${nameOf(entry)} failed, again in ${pause} ms: ${errorText(error)}`);
        await systemClock.delay(pause, this.stopping.signal);
      }
    }
    return false;
  }

  private async handle(entry: StreamEntry, message: StreamMessage | Error): Promise<void> {
    const bury = (error: Error) => this.onGroup((group) => group.bury(entry, error));
    if (!(message instanceof Error)) return this.settings.handle(message, bury);
    this.settings.log.error(`${nameOf(entry)} is no event, given up: ${errorText(message)}`);
    await bury(message);
  }

  private async onGroup(work: (group: StreamGroup) => Promise<void>): Promise<void> {
    const group = await this.link.get();
    try {
      await work(group);
    } catch (error) {
      // The loop may be waiting for space, and would not notice.
      if (!group.isOpen) this.link.drop(group);
      throw error;
    }
  }

  private async beat(): Promise<void> {
    const entries = [...this.inHand.values()];
    if (entries.length === 0) return;
    await this.onGroup((group) => group.keep(entries)).catch((error: unknown) => this.tell(error));
  }

  private tell(error: unknown): undefined {
    const text = errorText(error);
    if (text !== this.lastError) this.settings.log.warn(`Redis streams, trying again: ${text}`);
    this.lastError = text;
  }
}

function nameOf({ type, id }: StreamEntry): string {
  return `${type} ${id}`;
}
