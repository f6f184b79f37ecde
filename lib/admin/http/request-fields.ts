import { didYouMean } from '../../runtime/did-you-mean.js';
import { show } from '../../runtime/readers.js';
import { SagaInputError } from '../../saga/state/errors.js';
import type { Fields } from '../text-fields.js';

/**
 * The fields of a query or body, where nothing else may stand.
 * @throws SagaInputError that names the field
 */
export function fieldsOf(given: unknown, allowed: readonly string[]): Fields {
  if (given === undefined || given === null) return {};
  if (typeof given !== 'object' || Array.isArray(given))
    throw new SagaInputError(`expected an object with the fields ${allowed.join(', ')}, got ${show(given)}`);
  for (const [field, value] of Object.entries(given)) {
    if (!allowed.includes(field))
      throw new SagaInputError(`there is no field "${field.slice(0, 40)}"${didYouMean(field, allowed)}`);
    if (!isTextual(value)) throw new SagaInputError(`${field}: expected a text, got ${show(value)}`);
  }
  return given as Fields;
}

function isTextual(value: unknown): boolean {
  return typeof value === 'string' || (Array.isArray(value) && value.every((it) => typeof it === 'string'));
}

/** A field that must be there, once. @throws SagaInputError that names it */
export function required(fields: Fields, field: string): string {
  const value = fields[field];
  if (typeof value === 'string' && value !== '') return value;
  throw new SagaInputError(`${field}: expected a text, got ${show(value)}`);
}
