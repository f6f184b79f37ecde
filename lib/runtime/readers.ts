import { didYouMean } from './did-you-mean.js';
import { parseDuration, type Duration } from './duration.js';

/**
 * Readers turn what a user wrote into what the library works with: checked, with its default, in milliseconds.
 * A reader that meets a wrong value notes a fault at its place and goes on, so that every fault is told at once.
 */
export type Reader<T> = (value: unknown, place: Place) => T;

/** Where a value stands, and the list that faults are noted in. */
export class Place {
  constructor(
    readonly path: string,
    readonly faults: string[],
  ) {}

  at(key: string): Place {
    return new Place(this.path === '' ? key : `${this.path}.${key}`, this.faults);
  }

  fault(message: string): void {
    this.faults.push(this.path === '' ? message : `${this.path}: ${message}`);
  }

  expected<T>(what: string, got: unknown, fallback: T): T {
    this.fault(`expected ${what}, got ${show(got)}`);
    return fallback;
  }
}

export function bool(fallback: boolean): Reader<boolean> {
  return (value, place) => {
    if (value === undefined) return fallback;
    return typeof value === 'boolean' ? value : place.expected('true or false', value, fallback);
  };
}

export function oneOf<const T extends string>(names: readonly T[]): Reader<T | undefined>;
export function oneOf<const T extends string>(names: readonly T[], fallback: NoInfer<T>): Reader<T>;
export function oneOf<T extends string>(names: readonly T[], fallback?: T): Reader<T | undefined> {
  const list = names.map((name) => `'${name}'`).join(', ');
  return (value, place) => {
    if (value === undefined) return fallback;
    if (names.includes(value as T)) return value as T;
    const hint = typeof value === 'string' ? didYouMean(value, names) : '';
    place.fault(`expected one of ${list}, got ${show(value)}${hint}`);
    return fallback;
  };
}

export function text(): Reader<string | undefined> {
  return (value, place) => {
    if (value === undefined || (typeof value === 'string' && value !== '')) return value;
    return place.expected<string | undefined>('a text that is not empty', value, undefined);
  };
}

export interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

export function integer(
  fallback: number,
  { min = 1, max = Number.MAX_SAFE_INTEGER }: Bounds = {},
): Reader<number> {
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  return (value, place) => {
    if (value === undefined) return fallback;
    const fits = Number.isInteger(value) && Number(value) >= min && Number(value) <= max;
    return fits ? Number(value) : place.expected(`a whole number ${range}`, value, fallback);
  };
}

export function atLeast(fallback: number, min: number): Reader<number> {
  return (value, place) => {
    if (value === undefined) return fallback;
    const fits = typeof value === 'number' && Number.isFinite(value) && value >= min;
    return fits ? value : place.expected(`a number of at least ${min}`, value, fallback);
  };
}

const DURATION = "a duration such as 250, '250ms', '5s', '10m', '1h' or '7d'";

/** Milliseconds; without a fallback the value may be left out. */
export function duration(fallback: Duration, bounds?: Bounds): Reader<number>;
export function duration(fallback?: Duration, bounds?: Bounds): Reader<number | undefined>;
export function duration(fallback?: Duration, { min = 0 }: Bounds = {}): Reader<number | undefined> {
  const usual = fallback === undefined ? undefined : parseDuration(fallback);
  return (value, place) => {
    if (value === undefined) return usual;
    const ms = parseDuration(value);
    if (ms === undefined) return place.expected(DURATION, value, usual);
    return ms >= min ? ms : place.expected(`a duration of at least ${min} ms`, value, usual);
  };
}

/** Milliseconds, or false for never. */
export function durationOrFalse(fallback: Duration | false, bounds?: Bounds): Reader<number | false> {
  const read = duration(fallback === false ? 0 : fallback, bounds);
  return (value = fallback, place) => (value === false ? false : read(value, place));
}

/** A function; told only whether it is one. */
export function callable<T>(): Reader<T | undefined> {
  return (value, place) => {
    if (value === undefined || typeof value === 'function') return value as T | undefined;
    return place.expected<T | undefined>('a function', value, undefined);
  };
}

type Fields = Readonly<Record<string, Reader<unknown>>>;
export type Read<F extends Fields> = { readonly [K in keyof F]: ReturnType<F[K]> };

/** An object with exactly these optional keys; a key that is none of them is a fault. */
export function section<F extends Fields>(fields: F): Reader<Read<F>> {
  return (value, place) => {
    const given = asRecord(value, place);
    for (const key of Object.keys(given)) {
      if (!(key in fields)) place.fault(`unknown option "${key}"${didYouMean(key, Object.keys(fields))}`);
    }
    const entries = Object.entries(fields).map(([key, read]) => [key, read(given[key], place.at(key))]);
    return Object.freeze(Object.fromEntries(entries)) as Read<F>;
  };
}

/** `false` switches the section off. */
export function sectionOrFalse<F extends Fields>(fields: F): Reader<Read<F> | false> {
  const read = section(fields);
  return (value, place) => (value === false ? false : read(value, place));
}

function asRecord(value: unknown, place: Place): Readonly<Record<string, unknown>> {
  if (value === undefined) return {};
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  return place.expected('an object', value, {});
}

/** A value as a message may show it: short, and never the inside of an object. */
export function show(value: unknown): string {
  if (typeof value === 'string') return showText(value);
  if (value === null || ['undefined', 'number', 'boolean'].includes(typeof value)) return String(value);
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'function') return 'a function';
  return `a value of type ${(value as Partial<object>).constructor?.name ?? typeof value}`;
}

/** A URL may hold a password. */
function showText(text: string): string {
  return text.length > 40 || text.includes('://') ? 'a text' : `'${text}'`;
}
