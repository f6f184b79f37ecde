import { errorText } from '../runtime/error-text.js';
import type { Log } from '../runtime/log.js';
import { SagazTelemetry, type SagazEventName } from '../runtime/telemetry.js';
import type { EndStatus } from '../saga/state/saga-status.js';
import type { Hook, Listener } from './listener-explorer.js';

/** Which event calls which hook. */
const SOURCES: Readonly<Record<Exclude<Hook, 'onSagaEnded'>, SagazEventName>> = {
  onSagaStarted: 'saga.started',
  onStepCompleted: 'step.completed',
  onStepFailed: 'step.failed',
  onStepCompensated: 'undo.completed',
};
const ENDS: readonly EndStatus[] = ['completed', 'compensated', 'failed', 'parked'];

export interface FeedSettings {
  /** Channels belong to the process: only what this worker tells is of this application. */
  readonly workerId: string;
  readonly log: Log;
}

type AnyHook = (event: object) => unknown;

/** Calls the hooks of a listener from now on. @returns functions that end it */
export function feed(listener: Listener, settings: FeedSettings): (() => void)[] {
  return listener.hooks.flatMap((hook) =>
    hook === 'onSagaEnded'
      ? ENDS.map((status) => listen(`saga.${status}`, hook, { listener, settings, extra: { status } }))
      : [listen(SOURCES[hook], hook, { listener, settings, extra: {} })],
  );
}

interface Target {
  readonly listener: Listener;
  readonly settings: FeedSettings;
  /** What the hook is told beside the event. */
  readonly extra: object;
}

function listen(name: SagazEventName, hook: Hook, { listener, settings, extra }: Target): () => void {
  const { className, instance, saga } = listener;
  const { workerId, log } = settings;
  return SagazTelemetry.subscribe(
    name,
    (event) => {
      if (event.workerId !== workerId) return undefined;
      if (saga !== undefined && 'saga' in event && event.saga !== saga) return undefined;
      return (instance as Record<Hook, AnyHook>)[hook]({ ...event, ...extra });
    },
    (error) => log.warn(`${className}.${hook} failed: ${errorText(error)}`),
  );
}
