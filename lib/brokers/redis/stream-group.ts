import type { Redis } from 'ioredis';
import { errorText } from '../../runtime/error-text.js';
import { connectRedis, end } from './redis-connect.js';
import type { StreamEntry } from './stream-entry.js';
import type { ResolvedStreamOptions } from './stream-options.js';

/** How long a read waits for events; a shutdown waits for it. */
const BLOCK_MS = 500;
/** A consumer that nobody has heard of for so long, and that owes nothing, is forgotten. */
const FORGET_AFTER_MS = 3_600_000;

type RawEntry = readonly [id: string, fields: readonly string[]] | null;
type RawStreams = readonly (readonly [stream: string, entries: readonly RawEntry[]])[] | null;

/** A consumer's membership in its group, on two connections: one of them waits for events. It ends when one of them does. */
export class StreamGroup {
  /** By their streams. */
  private readonly typeOf: ReadonlyMap<string, string>;

  private constructor(
    private readonly reader: Redis,
    private readonly writer: Redis,
    private readonly options: ResolvedStreamOptions,
    private readonly types: readonly string[],
    private readonly consumer: string,
  ) {
    this.typeOf = new Map(types.map((type) => [this.keyOf(type), type]));
  }

  /** Connects, and makes the group where it is missing. @throws BrokerUnavailableError MissingPeerError */
  static async join(
    options: ResolvedStreamOptions,
    types: readonly string[],
    consumer: string,
  ): Promise<StreamGroup> {
    const reader = await connectRedis(options);
    try {
      const writer = await connectRedis(options);
      const group = new StreamGroup(reader, writer, options, types, consumer);
      await group.create();
      return group;
    } catch (error) {
      end(reader);
      throw error;
    }
  }

  /** New entries, at most about so many; waits for them a while. */
  async read(count: number): Promise<StreamEntry[]> {
    const perStream = Math.max(1, Math.floor(count / this.types.length));
    const keys = this.types.map((type) => this.keyOf(type));
    const found = (await this.reader.xreadgroup(
      ...(['GROUP', this.options.group, this.consumer] as const),
      ...(['COUNT', perStream, 'BLOCK', BLOCK_MS, 'STREAMS'] as const),
      ...keys,
      ...keys.map(() => '>'),
    )) as RawStreams;
    return (found ?? []).flatMap(([stream, entries]) =>
      entriesOf(this.typeOf.get(stream) ?? stream, entries),
    );
  }

  /** Takes over what other consumers have had in hand for too long, at most so many of each stream. */
  async claim(count: number): Promise<StreamEntry[]> {
    const { group, claimAfter } = this.options;
    const taken: StreamEntry[] = [];
    for (const type of this.types) {
      const [, entries] = (await this.writer.xautoclaim(
        ...([this.keyOf(type), group, this.consumer, claimAfter, '0-0', 'COUNT', count] as const),
      )) as [string, readonly RawEntry[]];
      taken.push(...entriesOf(type, entries));
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
    const results = await this.writer
      .multi()
      .xadd(`${key}.dead-letter`, '*', ...fields, 'error', error.message)
      .xack(key, this.options.group, id)
      .exec();
    const failure = results?.find(([failed]) => failed)?.[0];
    if (failure) throw failure;
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

  private async create(): Promise<void> {
    const from = this.options.fromBeginning ? '0' : '$';
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
