import { toJsonText } from '../events/json-text.js';
import { PayloadTooLargeError, SagaInputError } from './state/errors.js';

/** What a text is, for messages, and how many bytes it may have. */
export interface JsonPlace {
  /** Such as `input`. */
  readonly what: string;
  /** Such as `saga "order"`. */
  readonly of: string;
  readonly maxBytes: number;
}

/** What a caller gave, as the JSON text that is stored. @throws SagaInputError with the path; PayloadTooLargeError */
export function storedJson(value: unknown, { what, of, maxBytes }: JsonPlace): string {
  const json = toJsonText(value, what);
  if (!json.ok) throw new SagaInputError(`${of}: ${json.path}: ${json.reason}`);
  const bytes = Buffer.byteLength(json.text);
  if (bytes <= maxBytes) return json.text;
  throw new PayloadTooLargeError(
    `${what} of ${of} has ${bytes} bytes; the limit payload.maxBytes is ${maxBytes}`,
  );
}
