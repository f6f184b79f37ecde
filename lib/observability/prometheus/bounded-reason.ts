/** What a refused or dead event may have as its label: an error text would be a series of its own each time. */
const REASONS = [
  'unroutable',
  'too_large',
  'unknown_topic',
  'unauthorised',
  'no_payload',
  'exhausted',
  'killer',
] as const;

/** The documented reason that a text begins with, or `other`. */
export function boundedReason(text: string): string {
  const told = text.replace(/^rejected: /, '');
  return REASONS.find((reason) => told.startsWith(reason)) ?? 'other';
}
