import { isIdentifier } from '../persistence/typeorm/identifiers.js';
import type { Reader } from '../runtime/readers.js';

/** A name that is put into SQL: letters, digits and underscores only. */
export function identifier(): Reader<string | undefined> {
  return (value, place) => {
    if (value === undefined || (typeof value === 'string' && isIdentifier(value))) return value;
    return place.expected<string | undefined>('an identifier of letters, digits and _', value, undefined);
  };
}
