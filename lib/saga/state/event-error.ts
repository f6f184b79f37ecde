import type { EventFault } from '../../events/event-factory.js';
import { PayloadTooLargeError, SagaInputError, UnknownDestinationError } from './errors.js';
import type { SagazError } from './sagaz.error.js';

/** The error of a refused event. */
export function eventError(type: string, { kind, field, reason }: EventFault): SagazError {
  const message = `event "${type}": ${field}: ${reason}`;
  if (kind === 'too_large') return new PayloadTooLargeError(message);
  return kind === 'unknown_destination' ? new UnknownDestinationError(message) : new SagaInputError(message);
}
