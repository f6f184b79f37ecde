import { createHash } from 'node:crypto';

/** SHA-256 (hex) of JSON text, equal for objects that differ only in the order of their keys. */
export function canonicalHash(jsonText: string): string {
  return createHash('sha256')
    .update(JSON.stringify(JSON.parse(jsonText, sortKeys)))
    .digest('hex');
}

function sortKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const sorted = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.assign(Object.create(null), Object.fromEntries(sorted));
}
