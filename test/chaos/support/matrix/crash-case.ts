import type { DebugPoint } from '../../../../lib/runtime/debug-points.js';
import type { Scenario } from '../scenarios.js';

/** The n-th time that a process reaches a point. */
export interface Moment {
  readonly point: DebugPoint;
  /** From 1. */
  readonly count: number;
}

/** A process that runs one scenario is killed at a moment; of some, the process that takes it over is killed, too. */
export interface CrashCase {
  readonly id: string;
  readonly scenario: Scenario;
  readonly first: Moment;
  /** Of the process that takes over. */
  readonly then?: Moment;
  /** It is started with an idempotency key, and where the process dies while it creates the saga, asked for again. */
  readonly keyed: boolean;
  /** Milliseconds that every handler takes. */
  readonly pace: number;
}

export interface CrashResult extends CrashCase {
  readonly violations: readonly string[];
}

/** The moment that a case is about. */
export function momentOf({ first, then }: Pick<CrashCase, 'first' | 'then'>): Moment {
  return then ?? first;
}

export function textOf({ point, count }: Moment): string {
  return `${point}#${count}`;
}

/** Whether the saga may be missing afterwards: its process died before anybody could know that it was stored. */
export function mayBeMissing({ first, keyed }: CrashCase): boolean {
  return !keyed && (first.point === 'create.sending' || first.point === 'create.sent');
}

/** Whether the caller, who was not told whether the saga is stored, asks for it again. */
export function isAskedAgain({ first, keyed }: CrashCase): boolean {
  return keyed && first.point.startsWith('create.');
}
