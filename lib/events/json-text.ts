/** A value as JSON text, or the first place in it that JSON cannot carry unharmed. */
export type JsonText =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly path: string; readonly reason: string };

class Unfit extends Error {
  constructor(
    readonly path: string,
    readonly reason: string,
  ) {
    super(reason);
  }
}

/**
 * JSON text of a value, refused where `JSON.stringify` would change or drop something silently, or where PostgreSQL
 * could not store it as jsonb: NaN, Infinity, BigInt, Map, Set, functions, symbols, cycles, undefined in arrays,
 * `\u0000` and lone surrogates. `undefined` itself is `null`; undefined properties are left out; a Date becomes its
 * ISO text (`toJSON` is honoured).
 * @param root name of the value in the path, such as `input`
 */
export function toJsonText(value: unknown, root: string): JsonText {
  try {
    check(value ?? null, root, new Set());
    return { ok: true, text: JSON.stringify(value ?? null) ?? 'null' };
  } catch (error) {
    if (error instanceof Unfit) return { ok: false, path: error.path, reason: error.reason };
    return { ok: false, path: root, reason: `cannot be serialised: ${String(error)}` };
  }
}

function check(given: unknown, path: string, parents: Set<object>): void {
  const value = hasToJson(given) ? converted(given, path) : given;
  switch (typeof value) {
    case 'string':
      return checkText(value, path);
    case 'number':
      if (!Number.isFinite(value)) throw new Unfit(path, `${value} is no JSON number`);
      return;
    case 'bigint':
    case 'function':
    case 'symbol':
      throw new Unfit(path, `a ${typeof value} cannot be stored as JSON`);
    case 'object':
      if (value !== null) checkObject(value, path, parents);
  }
}

function checkText(text: string, path: string): void {
  if (text.includes('\u0000')) throw new Unfit(path, 'a text with \\u0000 cannot be stored');
  if (!text.isWellFormed()) throw new Unfit(path, 'a text with a lone surrogate cannot be stored');
}

function checkObject(value: object, path: string, parents: Set<object>): void {
  if (parents.has(value)) throw new Unfit(path, 'a cycle cannot be stored as JSON');
  if (value instanceof Map || value instanceof Set) {
    throw new Unfit(path, `a ${value.constructor.name} cannot be stored as JSON; make it an array or object`);
  }
  parents.add(value);
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) checkItem(value[index], `${path}[${index}]`, parents);
  } else {
    for (const [key, item] of Object.entries(value)) {
      checkText(key, path);
      check(item, `${path}.${key}`, parents);
    }
  }
  parents.delete(value);
}

function checkItem(item: unknown, path: string, parents: Set<object>): void {
  if (item === undefined) throw new Unfit(path, 'undefined in an array would become null');
  check(item, path, parents);
}

function hasToJson(value: unknown): value is { toJSON(key: string): unknown } {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { toJSON?: unknown }).toJSON === 'function'
  );
}

function converted(value: { toJSON(key: string): unknown }, path: string): unknown {
  if (value instanceof Date && Number.isNaN(value.getTime()))
    throw new Unfit(path, 'an invalid Date would become null');
  try {
    return value.toJSON('');
  } catch (error) {
    throw new Unfit(path, `its toJSON failed: ${String(error)}`);
  }
}
