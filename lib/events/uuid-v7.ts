import { randomUUID } from 'node:crypto';

/**
 * A UUID version 7 (RFC 9562 §5.7): its first 48 bits are the time in milliseconds, so ids sort by age and indexes grow
 * at one end. The random part is that of a UUID version 4, which Node makes from a pool.
 */
export function uuidV7(now: number = Date.now()): string {
  const time = now.toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}

/** The smallest UUID of a millisecond: every UUIDv7 that was made before it is smaller. */
export function firstIdOf(ms: number): string {
  const time = Math.max(0, Math.floor(ms)).toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-0000-0000-000000000000`;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/** A UUID as we write it, so that one that was copied in upper case is the same text everywhere; other text as it is. */
export function writtenAsOurs(id: string): string {
  return isUuid(id) ? id.toLowerCase() : id;
}
