/**
 * Published events that are kept lie in as many leaves. One is written at a time, for a sixth of the retention; the one that
 * comes next is emptied before its turn, so a leaf holds nothing that is younger than the retention when it is emptied.
 */
export const SENT_LEAVES = 8;

/** For how long one leaf is written. */
export function leafSpanMs(retentionMs: number): number {
  return retentionMs / (SENT_LEAVES - 2);
}
