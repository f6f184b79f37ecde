import { errorText } from '../runtime/error-text.js';
import { MissingPeerError } from '../saga/state/errors.js';

/**
 * Loads an optional package when it is needed, not when the library is imported.
 * @param install what npm is to install, with a version where not every one fits
 * @throws MissingPeerError when it is not there
 */
export async function loadPeer<T>(name: string, install: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if (isMissing(error, name)) throw new MissingPeerError(name, install);
    throw error;
  }
}

/** A package of the package's own that is missing is another matter. */
function isMissing(error: unknown, name: string): boolean {
  const { code } = error as { code?: unknown };
  const notFound = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
  return notFound && new RegExp(`'${name}'`).test(errorText(error));
}
