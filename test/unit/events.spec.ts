import fc from 'fast-check';
import { canonicalHash } from '../../lib/events/canonical-json.js';
import { makeEvent, type EventRules } from '../../lib/events/event-factory.js';
import { toJsonText } from '../../lib/events/json-text.js';
import type { OutboxEventInput } from '../../lib/events/outbox-event.js';
import { SHARD_COUNT, shardOf } from '../../lib/events/shard.js';
import { uuidV7 } from '../../lib/events/uuid-v7.js';

describe('toJsonText', () => {
  const cycle: Record<string, unknown> = { name: 'loop' };
  cycle['deep'] = { self: cycle };

  it.each<[string, unknown, string, RegExp]>([
    ['NaN', { total: NaN }, 'input.total', /NaN is no JSON number/],
    ['Infinity', [1, Infinity], 'input[1]', /Infinity is no JSON number/],
    ['a BigInt', { a: { b: 5n } }, 'input.a.b', /a bigint/],
    ['a function', { run: () => 1 }, 'input.run', /a function/],
    ['a symbol', [Symbol('x')], 'input[0]', /a symbol/],
    ['a Map', { rooms: new Map() }, 'input.rooms', /a Map .* make it an array or object/],
    ['a Set', { rooms: [new Set()] }, 'input.rooms[0]', /a Set/],
    ['a cycle', cycle, 'input.deep.self', /a cycle/],
    ['undefined in an array', { list: [1, undefined] }, 'input.list[1]', /would become null/],
    ['\\u0000 in a text', { note: 'a\u0000b' }, 'input.note', /\\u0000/],
    ['\\u0000 in a name', { list: [{ 'a\u0000b': 1 }] }, 'input.list[0]', /\\u0000/],
    ['a lone surrogate', ['fine', '\ud800'], 'input[1]', /lone surrogate/],
    ['a lone surrogate in a name', { '\udc00': 1 }, 'input', /lone surrogate/],
    ['something wrong in a toJSON', { at: { toJSON: () => [NaN] } }, 'input.at[0]', /NaN/],
    ['a function itself', () => 1, 'input', /a function/],
  ])('refuses %s and names the place', (_what, value, path, reason) => {
    const json = toJsonText(value, 'input');
    expect(json).toMatchObject({ ok: false, path });
    expect(json.ok || json.reason).toMatch(reason);
  });

  it('refuses a hole in an array, which would become null', () => {
    const seats: string[] = [];
    seats[2] = '3C';
    expect(toJsonText({ seats }, 'result')).toMatchObject({ ok: false, path: 'result.seats[0]' });
  });

  it('names the place of a toJSON that throws', () => {
    const price = {
      toJSON() {
        throw new Error('currency unknown');
      },
    };
    expect(toJsonText({ lines: [price] }, 'result')).toMatchObject({ ok: false, path: 'result.lines[0]' });
  });

  it('is null for undefined', () => {
    expect(toJsonText(undefined, 'result')).toEqual({ ok: true, text: 'null' });
  });

  it('is null for a value whose toJSON gives undefined', () => {
    expect(toJsonText({ toJSON: () => undefined }, 'result')).toEqual({ ok: true, text: 'null' });
  });

  it.each<[unknown, string]>([
    [null, 'null'],
    ['', '""'],
    [0, '0'],
    [{ gone: undefined, kept: null }, '{"kept":null}'],
    [new Date(0), '"1970-01-01T00:00:00.000Z"'],
    [{ price: { toJSON: () => '12.50' } }, '{"price":"12.50"}'],
    ['😀', '"😀"'],
    [Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
    [[[], {}], '[[],{}]'],
  ])('writes %p as %s', (value, text) => {
    expect(toJsonText(value, 'input')).toEqual({ ok: true, text });
  });

  it('accepts the same object at two places, which is no cycle', () => {
    const address = { city: 'Oslo' };
    expect(toJsonText({ from: address, to: [address] }, 'input')).toMatchObject({ ok: true });
  });

  it('gives the text of JSON.stringify for every JSON value, which parses back to it', () => {
    const jsonValue = fc
      .jsonValue({ stringUnit: 'grapheme' })
      .map((value) => JSON.parse(JSON.stringify(value)) as unknown);
    fc.assert(
      fc.property(jsonValue, (value) => {
        fc.pre(!JSON.stringify(value).includes('\\u0000'));
        const json = toJsonText(value, 'input');
        expect(json).toEqual({ ok: true, text: JSON.stringify(value) });
        expect(JSON.parse(json.ok ? json.text : '')).toEqual(value);
      }),
    );
  });
});

describe('canonicalHash', () => {
  it('is a SHA-256 in hex', () => {
    expect(canonicalHash('{}')).toBe('44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a');
  });

  it.each([
    ['the order of keys', '{"a":1,"b":2}', '{"b":2,"a":1}'],
    ['the order of nested keys', '{"x":[{"a":{"c":1,"d":2},"b":2}]}', '{"x":[{"b":2,"a":{"d":2,"c":1}}]}'],
    ['the order of numeric keys', '{"10":1,"9":2,"a":3}', '{"a":3,"9":2,"10":1}'],
    ['white space', '{"a":[1,2]}', ' { "a" : [ 1, 2 ] } '],
    ['the spelling of a number', '{"a":100}', '{"a":1e2}'],
    ['the escapes of a text', '"\\u00e9"', '"é"'],
    [
      'the order beside a __proto__ key',
      '{"__proto__":{"b":1,"a":2},"c":3}',
      '{"c":3,"__proto__":{"a":2,"b":1}}',
    ],
  ])('does not depend on %s', (_what, one, other) => {
    expect(canonicalHash(one)).toBe(canonicalHash(other));
  });

  it.each([
    ['the order of an array', '[1,2]', '[2,1]'],
    ['a value', '{"a":1}', '{"a":2}'],
    ['a type', '{"a":1}', '{"a":"1"}'],
    ['null and nothing', '{"a":null}', '{}'],
    ['an array and an object', '{"a":["x"]}', '{"a":{"0":"x"}}'],
    ['a __proto__ key and none', '{"__proto__":{"a":1}}', '{}'],
    ['two __proto__ values', '{"__proto__":1}', '{"__proto__":2}'],
    ['the level of a key', '{"a":{"b":1}}', '{"a":{},"b":1}'],
  ])('tells apart %s', (_what, one, other) => {
    expect(canonicalHash(one)).not.toBe(canonicalHash(other));
  });

  it('is the same for any order of the keys of any object', () => {
    const reverse = (value: unknown): unknown =>
      typeof value !== 'object' || value === null
        ? value
        : Array.isArray(value)
          ? value.map(reverse)
          : Object.fromEntries(
              Object.entries(value)
                .reverse()
                .map(([key, it]) => [key, reverse(it)]),
            );
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(canonicalHash(JSON.stringify(reverse(value)))).toBe(canonicalHash(JSON.stringify(value)));
      }),
    );
  });
});

describe('shardOf', () => {
  // Events of a key would lose their order if one of these ever changed.
  it.each([
    ['', 5],
    ['a', 12],
    ['foobar', 8],
    ['order-1', 13],
    ['Grüße 😀', 5],
  ])('puts the key %p into the shard it has always been in', (key, shard) => {
    expect(shardOf(key)).toBe(shard);
  });

  it('is a whole number below the number of shards for every key', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (key) => {
        const shard = shardOf(key);
        expect(Number.isInteger(shard) && shard >= 0 && shard < SHARD_COUNT).toBe(true);
        expect(shardOf(key)).toBe(shard);
      }),
    );
  });

  it('uses every shard for keys that differ only in a number', () => {
    const shards = Array.from({ length: 500 }, (_, index) => shardOf(`order-${index}`));
    expect(new Set(shards).size).toBe(SHARD_COUNT);
  });
});

describe('uuidV7', () => {
  it('has the version and the variant of RFC 9562', () => {
    for (let n = 0; n < 100; n++)
      expect(uuidV7()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('begins with the time, so that ids sort by age', () => {
    expect(uuidV7(0x0123456789ab)).toMatch(/^01234567-89ab-7/);
    const times = [0, 1, 255, 256, 65_535, 65_536, Date.now(), 2 ** 48 - 1];
    const ids = times.map((time) => uuidV7(time));
    expect([...ids].sort()).toEqual(ids);
  });

  it('differs within one millisecond', () => {
    expect(new Set(Array.from({ length: 1_000 }, () => uuidV7(1))).size).toBe(1_000);
  });
});

describe('makeEvent', () => {
  const rules: EventRules = {
    route: (type) => (type.startsWith('audit.') ? ['default', 'audit'] : ['default']),
    destinations: new Set(['default', 'audit']),
    maxBytes: 50,
  };

  function make(event: unknown, origin = {}) {
    return makeEvent(event as OutboxEventInput, rules, origin);
  }

  it('makes a row with everything the event says', () => {
    const id = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11';
    const event = {
      ...{ type: 'room.booked', payload: { room: 7 }, key: 'guest-1', headers: { tenant: 'north' } },
      ...{ id, aggregateType: 'room', aggregateId: '7' },
    };
    expect(make(event, { key: 'saga', headers: { tenant: 'south', sagaId: 's' } })).toEqual({
      id: id.toLowerCase(),
      records: [
        {
          eventId: id.toLowerCase(),
          shard: shardOf('guest-1'),
          destination: 'default',
          type: 'room.booked',
          key: 'guest-1',
          aggregateType: 'room',
          aggregateId: '7',
          payload: '{"room":7}',
          headers: '{"tenant":"north","sagaId":"s"}',
        },
      ],
    });
  });

  it.each([
    ['its own key', { key: 'own', aggregateId: 'aggregate' }, { key: 'origin' }, 'own'],
    ['the aggregate id', { aggregateId: 'aggregate' }, { key: 'origin' }, 'aggregate'],
    ['the key of where it is written', {}, { key: 'origin' }, 'origin'],
  ])('is ordered by %s', (_what, event, origin, key) => {
    expect(make({ type: 'a', ...event }, origin)).toMatchObject({ records: [{ key, shard: shardOf(key) }] });
  });

  it('is ordered by its own id when nothing else names a key', () => {
    const made = make({ type: 'a' });
    if ('fault' in made) throw new Error(made.fault.reason);
    expect(made.records).toMatchObject([{ eventId: made.id, key: made.id, payload: 'null', headers: '{}' }]);
  });

  it('makes one row for each destination: its own, else those of the routes, each once', () => {
    const destinations = (event: object) => {
      const made = make(event);
      return 'fault' in made ? made.fault : made.records.map(({ destination }) => destination);
    };
    expect(destinations({ type: 'audit.written' })).toEqual(['default', 'audit']);
    expect(destinations({ type: 'audit.written', destination: 'audit' })).toEqual(['audit']);
    expect(destinations({ type: 'a', destination: ['audit', 'default', 'audit'] })).toEqual([
      'audit',
      'default',
    ]);
  });

  it('takes the payload as it is now: later changes do not matter', () => {
    const payload = { rooms: 1 };
    const made = make({ type: 'a', payload });
    payload.rooms = 2;
    expect(made).toMatchObject({ records: [{ payload: '{"rooms":1}' }] });
  });

  it.each<[object, string, string]>([
    [{}, 'type', 'expected a text that is not empty'],
    [{ type: '' }, 'type', 'expected a text that is not empty'],
    [{ type: 7 }, 'type', 'expected a text that is not empty'],
    [{ type: 'a', id: 'first' }, 'id', 'expected a UUID'],
    [{ type: 'a', key: 7 }, 'key', 'expected a text'],
    [{ type: 'a', aggregateType: null }, 'aggregateType', 'expected a text'],
    [{ type: 'a', aggregateId: 7 }, 'aggregateId', 'expected a text'],
    [{ type: 'a', payload: { at: [NaN] } }, 'payload.at[0]', 'NaN is no JSON number'],
    [{ type: 'a\u0000' }, 'type', 'a text with \\u0000 cannot be stored'],
    [{ type: 'a', key: '\ud800' }, 'key', 'a text with a lone surrogate cannot be stored'],
    [{ type: 'a', headers: { tenant: 'a\u0000' } }, 'headers.tenant', 'a text with \\u0000 cannot be stored'],
    [{ type: 'a', headers: { tenant: 7 } }, 'headers.tenant', 'expected a text'],
    [{ type: 'a', headers: { ['é'.repeat(128)]: 'x' } }, 'headers', 'expected names of at most 255 bytes'],
  ])('refuses %j and names the field', (event, field, reason) => {
    expect(make(event)).toEqual({ fault: { kind: 'invalid', field, reason } });
  });

  it('refuses a payload that is too large, counted in bytes', () => {
    expect(make({ type: 'a', payload: 'x'.repeat(48) })).toHaveProperty('records');
    expect(make({ type: 'a', payload: 'é'.repeat(25) })).toEqual({
      fault: { kind: 'too_large', field: 'payload', reason: '52 bytes; the limit payload.maxBytes is 50' },
    });
  });

  it('refuses an event that would go nowhere: an empty list of destinations, its own or of the routes', () => {
    const fault = { kind: 'invalid', field: 'destination', reason: 'expected at least one name' };
    expect(make({ type: 'a', destination: [] })).toEqual({ fault });
    expect(makeEvent({ type: 'a' }, { ...rules, route: () => [] })).toEqual({ fault });
  });

  it('refuses a destination that no broker is registered for, and names those that are', () => {
    const reason = 'no broker is named "archive"; there are: default, audit';
    expect(make({ type: 'a', destination: ['audit', 'archive'] })).toEqual({
      fault: { kind: 'unknown_destination', field: 'destination', reason },
    });
  });
});
