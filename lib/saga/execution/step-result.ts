import { toJsonText } from '../../events/json-text.js';
import { PayloadTooLargeError, ResultNotSerialisableError } from '../state/errors.js';
import { failureOf, type UndoneRecord } from '../state/journal.js';
import type { SagazError } from '../state/sagaz.error.js';
import type { Fact } from './fact.js';
import type { StepHost } from './step-host.js';
import type { StepJob } from './step-job.js';

/** What a handler returned, and the events it published. */
export interface Returned extends Pick<Fact, 'attempt' | 'events'> {
  readonly value: unknown;
  /** Late results of the step that an undo knew of. */
  readonly lates: number;
  readonly durationMs: number;
}

/** An effect whose result cannot be kept is there all the same: the step is completed, and the saga cannot go on. */
export function completedFacts(host: StepHost, job: StepJob, returned: Returned): Fact[] {
  const { text, error } = resultText(host, job, returned.value);
  const completed = completedFact(job, text, returned);
  if (!error) return [completed];
  const data = JSON.stringify(failureOf(error, job.step.name));
  return [completed, { ...completed, kind: 'compensating', data, events: [] }];
}

/** The success of an action or undo, with the JSON text of its result. */
export function completedFact(
  { mode, kinds, step }: StepJob,
  text: string | null,
  { attempt, events, lates, durationMs }: Omit<Returned, 'value'>,
): Fact {
  const data = mode === 'undo' ? undoneText({ lates }) : text;
  return { kind: kinds.completed, step: step.name, attempt, data, events, durationMs };
}

function undoneText(record: UndoneRecord): string | null {
  return record.lates > 0 ? JSON.stringify(record) : null;
}

/** Nothing for a step without a result, and for an undo, whose result nobody asks for. */
export function resultText(
  { maxResultBytes }: Pick<StepHost, 'maxResultBytes'>,
  { mode, place }: Pick<StepJob, 'mode' | 'place'>,
  value: unknown,
): { readonly text: string | null; readonly error?: SagazError } {
  if (value === undefined || mode === 'undo') return { text: null };
  const json = toJsonText(value, 'result');
  if (!json.ok) {
    return {
      text: null,
      error: new ResultNotSerialisableError(`${place} returned ${json.path}: ${json.reason}`),
    };
  }
  const bytes = Buffer.byteLength(json.text);
  if (bytes <= maxResultBytes) return { text: json.text };
  const message = `${place} returned ${bytes} bytes; the limit payload.maxBytes is ${maxResultBytes}`;
  return { text: null, error: new PayloadTooLargeError(message) };
}
