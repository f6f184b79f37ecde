import { hashOf, type DefinitionData } from '../definition/definition-data.js';
import type { StrandedSagas } from '../saga-storage.js';

/** Why nobody runs these sagas, and what to do. @param own the steps of the same version in this process */
export function strandedMessage(
  { name, version, count }: StrandedSagas,
  stored: DefinitionData,
  own: DefinitionData | undefined,
): string {
  const who = `${count} of saga "${name}" version ${version}`;
  if (!own)
    return (
      `${who} wait for a process that has this version, and none is alive: ` +
      'deploy one, or register the version with retired: true and its undos'
    );
  return (
    `${who} were started with other steps than those of this version here (${difference(stored, own)}): ` +
    'register the steps they were started with, and give the changed ones a new version'
  );
}

function difference(stored: DefinitionData, own: DefinitionData): string {
  const [before, now] = [namesOf(stored), namesOf(own)];
  const gone = [...before].filter((name) => !now.has(name));
  const added = [...now].filter((name) => !before.has(name));
  const changed = own.filter((step) =>
    stored.some((other) => other.name === step.name && hashOf([other]) !== hashOf([step])),
  );
  const parts = [
    ...list('without', gone),
    ...list('with', added),
    ...list(
      'changed:',
      changed.map(({ name }) => name),
    ),
  ];
  return parts.join('; ');
}

function namesOf(data: DefinitionData): ReadonlySet<string> {
  return new Set(data.map(({ name }) => name));
}

function list(what: string, names: readonly string[]): readonly string[] {
  return names.length === 0 ? [] : [`${what} ${names.join(', ')}`];
}
