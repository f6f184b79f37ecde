/** What operators do. */
export const ADMIN_ACTIONS = [
  ...(['retry', 'skip', 'resolve', 'compensate', 'resume', 'cancel'] as const),
  ...(['requeue', 'discard', 'republish'] as const),
] as const;
export type AdminAction = (typeof ADMIN_ACTIONS)[number];

/** What is noted of an action before it is known what it changes. */
export interface NewAudit {
  /** Who wants it. */
  readonly actor: string;
  readonly action: AdminAction;
  /** Id of a saga, or which events, as JSON text. */
  readonly target: string;
  /** Why, in the operator's words. */
  readonly reason: string | null;
}

export type AuditFacts = Readonly<Record<string, string | number>>;

/** One action of an operator that changed something. Never deleted by the library. */
export interface AuditRecord extends NewAudit {
  /** Grows. */
  readonly id: string;
  /** By the clock of the storage. */
  readonly at: Date;
  /** Of a saga: its status, epoch and, where one is concerned, step. */
  readonly before: AuditFacts | null;
  /** The same afterwards; of events: how many. */
  readonly after: AuditFacts | null;
}

/** Which actions; what is left out does not matter. */
export interface AuditFilter {
  /** Id of a saga. */
  readonly target?: string | undefined;
  readonly actor?: string | undefined;
  readonly action?: AdminAction | undefined;
  /** Only those before this one. */
  readonly before?: string | undefined;
}
