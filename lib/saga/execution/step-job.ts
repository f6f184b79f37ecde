import {
  stepOf,
  type Handler,
  type SagaDefinition,
  type StepDefinition,
} from '../definition/saga-definition.js';
import type { ResolvedRetry } from '../retry/retry-policy.js';
import type { DebugPoint } from '../../runtime/debug-points.js';
import type { JournalKind } from '../state/journal.js';
import { stateOf, type SagaState } from './saga-state.js';

/** An action or an undo of a step: the same machinery runs both. */
export interface StepJob {
  readonly mode: 'action' | 'undo';
  readonly step: StepDefinition;
  readonly handler: Handler;
  readonly place: string;
  readonly timeoutMs: number;
  readonly retry: ResolvedRetry;
  /** Number of its first attempt in this process; 1 for the very first. */
  readonly firstAttempt: number;
  /** Milliseconds that earlier processes spent on it. */
  readonly elapsedMs: number;
  readonly kinds: JobKinds;
  /** Around the call of its handler. */
  readonly points: { readonly beginning: DebugPoint; readonly returned: DebugPoint };
}

/** Journal kinds of what may become of a job. */
interface JobKinds {
  readonly completed: JournalKind;
  readonly retrying: JournalKind;
  readonly failed: JournalKind;
}

const ACTION_POINTS = { beginning: 'step.beginning', returned: 'step.returned' } as const;
const UNDO_POINTS = { beginning: 'undo.beginning', returned: 'undo.returned' } as const;

const ACTION = { completed: 'step_completed', retrying: 'step_retrying', failed: 'step_failed' } as const;
const UNDO = { completed: 'undo_completed', retrying: 'undo_retrying', failed: 'undo_failed' } as const;

export function actionJob(definition: SagaDefinition, state: SagaState, name: string): StepJob {
  const step = stepOf(definition, name);
  const { handler, place, timeout: timeoutMs, retry } = step;
  const { launches: firstAttempt, pause } = stateOf(state, name);
  const past = { firstAttempt, elapsedMs: pause?.elapsedMs ?? 0 };
  return {
    mode: 'action',
    step,
    handler,
    place,
    timeoutMs,
    retry,
    ...past,
    kinds: ACTION,
    points: ACTION_POINTS,
  };
}

export function undoJob(definition: SagaDefinition, state: SagaState, name: string): StepJob {
  const step = stepOf(definition, name);
  if (!step.compensation) throw new Error(`${step.place} has no compensation`);
  const { handler, place, timeout: timeoutMs, retry } = step.compensation;
  const { undoAttempts, pause } = stateOf(state, name);
  const past = { firstAttempt: undoAttempts + 1, elapsedMs: pause?.elapsedMs ?? 0 };
  return { mode: 'undo', step, handler, place, timeoutMs, retry, ...past, kinds: UNDO, points: UNDO_POINTS };
}
