import type { MessageBroker } from '../brokers/message-broker.js';
import { show, type Place, type Reader } from '../runtime/readers.js';

const METHODS = ['connect', 'publish', 'ping', 'close'] as const;

export function broker(): Reader<MessageBroker | undefined> {
  return (value, place) => {
    if (value === undefined || isBroker(value)) return value;
    // A text here is often a URL with a password: its type is enough.
    const got = typeof value === 'string' ? 'a text' : show(value);
    place.fault(`expected a MessageBroker, such as new InMemoryBroker(), got ${got}`);
    return undefined;
  };
}

/** Further brokers by name; `default` is the option `broker`. */
export function brokers(): Reader<readonly (readonly [string, MessageBroker])[]> {
  const one = broker();
  return (value, place) => {
    if (value === undefined) return [];
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return place.expected('an object of brokers by name', value, []);
    return Object.entries(value).flatMap(([name, given]) => {
      if (name === 'default') place.fault('"default" is the option broker');
      if (given === undefined) place.at(name).fault('expected a MessageBroker, got undefined');
      const found = one(given, place.at(name));
      return found ? [[name, found] as const] : [];
    });
  };
}

export interface ResolvedRoute {
  readonly type: string;
  readonly to: readonly string[];
}

export function routes(): Reader<readonly ResolvedRoute[]> {
  return (value, place) => {
    if (value === undefined) return [];
    if (!Array.isArray(value)) return place.expected('an array of { type, to }', value, []);
    return value.flatMap((item: unknown, index) => route(item, place.at(String(index))));
  };
}

function route(value: unknown, place: Place): ResolvedRoute[] {
  const { type, to } = (value ?? {}) as { type?: unknown; to?: unknown };
  const names: unknown[] = Array.isArray(to) ? to : [to];
  const fits =
    typeof type === 'string' && names.length > 0 && names.every((name) => typeof name === 'string');
  if (fits) return [{ type, to: names.map(String) }];
  place.fault("expected { type: 'order.*', to: 'name' } or several names in to");
  return [];
}

/** Whether an event type is that of a route, which may end in `*`. */
export function matches(pattern: string, type: string): boolean {
  return pattern.endsWith('*') ? type.startsWith(pattern.slice(0, -1)) : type === pattern;
}

function isBroker(value: unknown): value is MessageBroker {
  return (
    typeof value === 'object' &&
    value !== null &&
    METHODS.every((name) => typeof (value as Record<string, unknown>)[name] === 'function')
  );
}
