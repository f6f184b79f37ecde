/**
 * Names in groups that come one after another: each name stands in the group after the last one that it waits for.
 * @param before every name that must come first, near and far, without circles; what is not among `names` does not count
 */
export function levels(
  names: readonly string[],
  before: (name: string) => ReadonlySet<string>,
): readonly (readonly string[])[] {
  const known = new Map<string, number>();
  const levelOf = (name: string): number => {
    const level =
      known.get(name) ??
      Math.max(0, ...names.filter((it) => before(name).has(it)).map((it) => levelOf(it) + 1));
    known.set(name, level);
    return level;
  };
  const groups: string[][] = [];
  for (const name of names) (groups[levelOf(name)] ??= []).push(name);
  return groups;
}
