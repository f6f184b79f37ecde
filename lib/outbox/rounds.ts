import type { PendingEvent } from './outbox-storage.js';

/** Payloads that are in memory at once beside those that came with their batch. */
const ROUND_BYTES = 16 * 1_048_576;

/**
 * Splits a batch into rounds that are published one after the other: one of all events, unless payloads are large (those are
 * read round by round) or the order is strict (then no round has two events of a key for one destination).
 */
export function roundsOf(
  events: readonly PendingEvent[],
  strict: boolean,
): readonly (readonly PendingEvent[])[] {
  const rounds = strict ? byTurn(events) : [events];
  const isLarge = events.some(({ absentBytes }) => typeof absentBytes === 'number');
  return isLarge ? rounds.flatMap(bySize) : rounds;
}

function byTurn(events: readonly PendingEvent[]): readonly (readonly PendingEvent[])[] {
  const rounds: PendingEvent[][] = [];
  const turns = new Map<string, number>();
  for (const event of events) {
    const name = JSON.stringify([event.destination, event.key]);
    const turn = turns.get(name) ?? 0;
    turns.set(name, turn + 1);
    (rounds[turn] ??= []).push(event);
  }
  return rounds;
}

function bySize(events: readonly PendingEvent[]): readonly (readonly PendingEvent[])[] {
  const rounds: PendingEvent[][] = [];
  let bytes = Infinity;
  for (const event of events) {
    const size = event.absentBytes ?? 0;
    bytes += size;
    if (bytes > ROUND_BYTES) {
      rounds.push([]);
      bytes = size;
    }
    rounds.at(-1)?.push(event);
  }
  return rounds;
}
