import type { DiscoveryService } from '@nestjs/core';
import { readDefinitions, type SagaSource } from '../saga/definition/definition-source.js';
import type { DefinitionFault } from '../saga/state/errors.js';
import { FEATURE_SAGAS } from '../sagaz.tokens.js';

/** The definitions that modules gave to `SagazModule.forFeature`, each once, and what else was given. */
export function findFeatureSagas(discovery: DiscoveryService): {
  readonly sources: readonly SagaSource[];
  readonly faults: readonly DefinitionFault[];
} {
  const given = discovery.getProviders().filter(({ token }) => token === FEATURE_SAGAS);
  const values = given.flatMap(({ instance }) => instance as unknown);
  return readDefinitions([...new Set(values)], 'SagazModule.forFeature');
}
