import type { Redis } from 'ioredis';

/** How long a stream is left alone after it was trimmed. */
const PAUSE_MS = 10_000;

/**
 * Removes from streams what every consumer group has acknowledged. A stream without a group is left alone: nothing says that
 * somebody has read it.
 */
export class StreamTrimmer {
  private readonly trimmedAt = new Map<string, number>();
  private working: Promise<void> = Promise.resolve();

  /** Goes on beside the caller. Failures are of no account: the next time does it. */
  trim(client: Redis, streams: Iterable<string>): void {
    const now = performance.now();
    const due = [...streams].filter((name) => now - (this.trimmedAt.get(name) ?? -Infinity) >= PAUSE_MS);
    for (const name of due) {
      this.trimmedAt.set(name, now);
      this.working = this.working.then(() => trimStream(client, name)).catch(() => undefined);
    }
  }

  /** Resolves when nothing is under way. */
  settled(): Promise<void> {
    return this.working;
  }
}

async function trimStream(client: Redis, stream: string): Promise<void> {
  const groups = (await client.xinfo('GROUPS', stream)) as unknown[][];
  const needed: string[] = [];
  for (const fields of groups) needed.push(await firstNeeded(client, stream, asRecord(fields)));
  const [first] = needed.toSorted(byAge);
  if (first !== undefined) await client.xtrim(stream, 'MINID', '~', first);
}

/** The oldest entry that a group may still want: of those that were delivered, the first without acknowledgement. */
async function firstNeeded(client: Redis, stream: string, group: Map<unknown, unknown>): Promise<string> {
  const delivered = String(group.get('last-delivered-id'));
  if (group.get('pending') === 0) return delivered;
  const [, oldest] = (await client.xpending(stream, String(group.get('name')))) as [number, string | null];
  return oldest ?? delivered;
}

function asRecord(fields: readonly unknown[]): Map<unknown, unknown> {
  return new Map(fields.flatMap((name, index) => (index % 2 === 0 ? [[name, fields[index + 1]]] : [])));
}

/** Ids are milliseconds and a sequence number. */
function byAge(a: string, b: string): number {
  const [[aMs = 0n, aSeq = 0n], [bMs = 0n, bSeq = 0n]] = [a, b].map((id) => id.split('-').map(BigInt)) as [
    bigint[],
    bigint[],
  ];
  const difference = aMs === bMs ? aSeq - bSeq : aMs - bMs;
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}
