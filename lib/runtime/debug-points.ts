/**
 * Moments on the way of a saga at which something becomes durable or is about to. Tests kill, freeze or delay a process
 * there; nothing else listens. `sent` points come when a statement has left and its reply has not been read.
 */
export const DEBUG_POINTS = [
  'create.sending',
  'create.sent',
  'create.stored',
  'journal.sending',
  'journal.sent',
  'journal.stored',
  'step.beginning',
  'step.returned',
  'undo.beginning',
  'undo.returned',
  'transaction.opened',
  'transaction.fencing',
  'transaction.committing',
  'transaction.commit-sent',
  'transaction.committed',
  'claim.sending',
  'claim.stored',
  'claim.read',
] as const;
export type DebugPoint = (typeof DEBUG_POINTS)[number];

/** Called each time a point is reached. */
export type DebugProbe = (point: DebugPoint) => void;

/** What the published library uses. */
export const noProbe: DebugProbe = () => undefined;
