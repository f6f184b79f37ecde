import type { Redis } from 'ioredis';
import { errorText } from '../../runtime/error-text.js';
import { connectRedis, end, unavailable } from './redis-connect.js';
import type { StreamEntry } from './stream-entry.js';
import type { ResolvedStreamOptions } from './stream-options.js';

/** How long a read waits for events; a shutdown waits for it. */
const BLOCK_MS = 500;
/** A server that has not answered by then has failed. */
const COMMAND_TIMEOUT_MS = 10_000;
/** A consumer that nobody has heard of for so long, and that owes nothing, is forgotten. */
const FORGET_AFTER_MS = 3_600_000;

/** Of a search through what is pending. */
const START = '0-0';

type RawEntry = readonly [id: string, fields: readonly string[]] | null;
type RawStreams = readonly (readonly [stream: string, entries: readonly RawEntry[]])[] | null;

export interface Membership {
  readonly options: ResolvedStreamOptions;
  readonly types: readonly string[];
  /** The name of this consumer in the group. */
  readonly consumer: string;
}

/** A consumer's membership in its group, on two connections: one of them waits for events. */
export class StreamGroup {
  /** By their streams. */
  private readonly typeOf: ReadonlyMap<string, string>;
  private readonly options: ResolvedStreamOptions;
  private readonly types: readonly string[];
  private readonly consumer: string;
  /** Where the next search for entries of the dead goes on, by type. */
  private readonly cursors = new Map<string, string>();
  /** Of the types, for reads that have no space for all. */
  private turn = 0;

  private constructor(
    private readonly reader: Redis,
    private readonly writer: Redis,
    { options, types, consumer }: Membership,
  ) {
    this.options = options;
    this.types = types;
    this.consumer = consumer;
    this.typeOf = new Map(types.map((type) => [this.keyOf(type), type]));
  }

  /**
   * Connects, and makes the group where it is missing.
   * @param from where a group that is made begins: with what is in the stream, or with what is new
   * @throws BrokerUnavailableError MissingPeerError
   */
  static async join(membership: Membership, from: '0' | '$'): Promise<StreamGroup> {
    const { options } = membership;
    const clients: Redis[] = [];
    try {
      const settings = { commandTimeout: COMMAND_TIMEOUT_MS };
      for (let n = 0; n < 2; n++) clients.push(await connectRedis(options, settings));
      const [reader, writer] = clients as [Redis, Redis];
      const group = new StreamGroup(reader, writer, membership);
      await group.create(from);
      return group;
    } catch (error) {
      clients.forEach(end);
      throw unavailable(options, error);
    }
  }

  /** Whether both connections are there. */
  get isOpen(): boolean {
    return this.reader.status === 'ready' && this.writer.status === 'ready';
  }

  /** What was handed to this consumer before, over a connection that broke. */
  async readAgain(): Promise<StreamEntry[]> {
    return this.entries(this.types, ['COUNT', this.options.prefetch], '0');
  }

  /** New entries, at most so many; waits for them a while. */
  async read(count: number): Promise<StreamEntry[]> {
    const { types } = this;
    const some = Array.from(
      { length: Math.min(count, types.length) },
      (_, n) => types[(this.turn + n) % types.length] ?? '',
    );
    this.turn = (this.turn + some.length) % types.length;
    return this.entries(some, ['COUNT', Math.floor(count / some.length), 'BLOCK', BLOCK_MS], '>');
  }

  /** Takes over what other consumers have had in hand for too long, at most so many. */
  async claim(count: number): Promise<StreamEntry[]> {
    const taken: StreamEntry[] = [];
    for (const type of this.types) {
      do {
        if (taken.length >= count) return taken;
        taken.push(...(await this.claimSome(type, count - taken.length)));
      } while (this.cursors.get(type) !== START);
    }
    return taken;
  }

  /** A sign of life: these are in hand. */
  async keep(entries: readonly StreamEntry[]): Promise<void> {
    await this.own(entries, 0);
  }

  /** Gives back what was not done, for another consumer to take at once. */
  async release(entries: readonly StreamEntry[]): Promise<void> {
    await this.own(entries, this.options.claimAfter);
  }

  async acknowledge({ type, id }: StreamEntry): Promise<void> {
    await this.writer.xack(this.keyOf(type), this.options.group, id);
  }

  /** Moves an entry to the stream `<stream>.dead-letter`. */
  async bury({ type, id, fields }: StreamEntry, error: Error): Promise<void> {
    const key = this.keyOf(type);
    // One after the other: a transaction of Redis would acknowledge what it could not add.
    await this.writer.xadd(`${key}.dead-letter`, '*', ...fields, 'error', error.message);
    await this.writer.xack(key, this.options.group, id);
  }

  /** Removes consumers of processes that are gone: each start makes a new one. */
  async forgetOthers(): Promise<void> {
    for (const type of this.types) {
      const consumers = (await this.writer.xinfo('CONSUMERS', this.keyOf(type), this.options.group)) as (
        string | number
      )[][];
      for (const [, name, , pending, , idle] of consumers)
        if (pending === 0 && Number(idle) > FORGET_AFTER_MS) await this.forget(type, String(name));
    }
  }

  /** Leaves no trace where nothing is owed. */
  async leave(): Promise<void> {
    for (const type of this.types) {
      const { group } = this.options;
      const owed = await this.writer.xpending(this.keyOf(type), group, '-', '+', 1, this.consumer);
      if (owed.length === 0) await this.forget(type, this.consumer);
    }
  }

  close(): void {
    end(this.reader);
    end(this.writer);
  }

  private async entries(
    types: readonly string[],
    limits: readonly (string | number)[],
    from: '0' | '>',
  ): Promise<StreamEntry[]> {
    const keys = types.map((type) => this.keyOf(type));
    const command = ['GROUP', this.options.group, this.consumer, ...limits, 'STREAMS', ...keys];
    const found = (await this.reader.call('XREADGROUP', ...command, ...keys.map(() => from))) as RawStreams;
    return (found ?? []).flatMap(([stream, entries]) =>
      entriesOf(this.typeOf.get(stream) ?? stream, entries),
    );
  }

  /** Redis looks at ten times as many entries, and says where it stopped. */
  private async claimSome(type: string, count: number): Promise<StreamEntry[]> {
    const { group, claimAfter } = this.options;
    const from = this.cursors.get(type) ?? START;
    const [next, entries] = (await this.writer.xautoclaim(
      ...([this.keyOf(type), group, this.consumer, claimAfter, from, 'COUNT', count] as const),
    )) as [string, readonly RawEntry[]];
    this.cursors.set(type, next);
    return entriesOf(type, entries);
  }

  private async create(from: '0' | '$'): Promise<void> {
    for (const type of this.types) {
      try {
        await this.writer.xgroup('CREATE', this.keyOf(type), this.options.group, from, 'MKSTREAM');
      } catch (error) {
        if (!errorText(error).startsWith('BUSYGROUP')) throw error;
      }
    }
  }

  private async own(entries: readonly StreamEntry[], idleMs: number): Promise<void> {
    const { group } = this.options;
    for (const type of this.types) {
      const ids = entries.flatMap((entry) => (entry.type === type ? [entry.id] : []));
      if (ids.length === 0) continue;
      await this.writer.xclaim(this.keyOf(type), group, this.consumer, 0, ...ids, 'IDLE', idleMs, 'JUSTID');
    }
  }

  private async forget(type: string, consumer: string): Promise<void> {
    await this.writer.xgroup('DELCONSUMER', this.keyOf(type), this.options.group, consumer);
  }

  private keyOf(type: string): string {
    return `${this.options.streamPrefix}${type}`;
  }
}

/** One that was trimmed away meanwhile has nothing left. */
function entriesOf(type: string, entries: readonly RawEntry[]): StreamEntry[] {
  return entries.flatMap((entry) => (entry?.[1] ? [{ type, id: entry[0], fields: entry[1] }] : []));
}
