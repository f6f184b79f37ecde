import type { Log, LogLine } from '../../runtime/log.js';
import { SagazTelemetry, type SagazEventName, type SagazEvents } from '../../runtime/telemetry.js';

/** Nest's `Logger` fits. */
export interface EventLogger extends Log {
  debug(line: LogLine): void;
}

export interface EventLogSettings {
  /** Channels belong to the process: only what this worker tells is of this application. */
  readonly workerId: string;
  readonly log: EventLogger;
  /** Lines at debug are not even made when they would not be written. */
  readonly debugs: () => boolean;
}

type Told<N extends SagazEventName> = (event: SagazEvents[N]) => string;

/** One line for each saga that ended well; those that did not are alarms, which are logged where they are told. */
const ENDED: Told<'saga.completed' | 'saga.compensated'> = ({ saga, durationMs, code }) =>
  `saga ${saga} ${code === undefined ? 'completed' : `compensated (${code})`} after ${Math.round(durationMs)} ms`;

const ATTEMPT: Told<'step.completed' | 'step.failed'> = ({ step, saga, outcome, durationMs }) =>
  `step ${step} of ${saga}: ${outcome} in ${Math.round(durationMs)} ms`;

/** Logs what happens in one application from now on: facts and ids, never a payload. @returns what ends it */
export function logEvents({ workerId, log, debugs }: EventLogSettings): () => void {
  const ends: (() => void)[] = [];
  const write = <N extends SagazEventName>(level: 'log' | 'debug', names: readonly N[], tell: Told<N>) => {
    for (const name of names) {
      const end = SagazTelemetry.subscribe(name, (event) => {
        if (event.workerId !== workerId || (level === 'debug' && !debugs())) return;
        const { at: _, ...fields } = event;
        log[level]({ msg: tell(event), event: name, ...fields });
      });
      ends.push(end);
    }
  };
  write('log', ['saga.completed', 'saga.compensated'], ENDED);
  write('log', ['worker.takeover'], ({ sagas }) => `took over ${sagas} sagas of dead workers`);
  write('debug', ['saga.started', 'saga.resumed'], ({ saga }) => `saga ${saga} begins to run here`);
  write('debug', ['saga.waiting'], ({ saga }) => `saga ${saga} waits`);
  write('debug', ['saga.compensating'], ({ saga }) => `saga ${saga} turns back`);
  write('debug', ['step.completed', 'step.failed'], ATTEMPT);
  write('debug', ['undo.completed'], ({ step, saga }) => `step ${step} of ${saga} is undone`);
  return () => {
    for (const end of ends) end();
  };
}
