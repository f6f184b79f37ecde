/** Injection tokens and metadata keys. Registered symbols, so that an ESM and a CommonJS copy mean the same. */
const token = (name: string) => Symbol.for(`nestjs-sagaz:${name}`);

export const SAGAZ_RUNTIME = token('runtime');
export const RESOLVED_OPTIONS = token('resolved-options');
export const APPLICATION_DATA_SOURCE = token('application-data-source');
export const DATA_SOURCE_NAME = token('data-source-name');
export const LIFECYCLE = token('lifecycle');
export const FEATURE_SAGAS = token('feature-sagas');

export const SAGA_METADATA = token('saga');
export const STEP_METADATA = token('step');
export const COMPENSATE_METADATA = token('compensate');
export const LISTENER_METADATA = token('listener');
