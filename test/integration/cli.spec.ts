import { COMMANDS } from '../../lib/cli/run.js';
import { cli } from '../support/cli.js';
import { createDatabase } from '../support/database.js';
import { describeWith } from '../support/requirement.js';
import { StuckShop } from '../support/stuck-shop.js';

const NOBODY = '0190f2d0-0000-7000-8000-000000000000';

/** 100,000 rows are written in seconds, and in a minute where others use the same disk. */
const MANY_ROWS_MS = 180_000;

/** What each command refuses, with its exit code and what it says. */
const REFUSED: readonly (readonly [string, readonly string[], number, string])[] = [
  ['status', ['now'], 2, 'status: "now" is one argument too many'],
  ['audit', ['--action', 'rtry'], 2, '--action: "rtry" is none; did you mean "retry"?'],
  ['audit', ['--before', 'x'], 2, '--before: expected the id of an action'],
  ['sagas list', ['--limit', '501'], 2, '--limit: expected a whole number from 1 to 500'],
  ['sagas list', ['--after', 'x'], 2, '--after: expected what `next` of a page gave'],
  ['sagas list', ['--status', 'faild'], 2, '--status: "faild" is none; did you mean "failed"?'],
  ['sagas show', ['nope'], 3, 'there is no saga nope'],
  ['sagas retry', [NOBODY], 3, `there is no saga ${NOBODY}`],
  ['sagas retry', ['DONE'], 4, 'saga DONE is completed: nothing of it has failed'],
  ['sagas retry', ['FAILED', '--actor', ''], 2, 'actor: expected a text of 1 to 200 characters'],
  ['sagas skip', [NOBODY, 'charge'], 3, `there is no saga ${NOBODY}`],
  ['sagas skip', ['FAILED', 'charge'], 4, 'saga FAILED is failed: steps are skipped while it goes forward'],
  ['sagas skip', ['PARKED', 'hand-over'], 4, 'saga PARKED is parked: step "hand-over" is completed'],
  ['sagas skip', ['PARKED', 'lable'], 2, 'step: saga "parcel" has no step "lable"; did you mean "label"?'],
  ['sagas resolve', ['nope', 'charge'], 3, 'there is no saga nope'],
  [
    'sagas resolve',
    ['FAILED', 'chrage'],
    2,
    'step: saga "order" has no step "chrage"; did you mean "charge"?',
  ],
  ['sagas resolve', ['FAILED', 'ship'], 4, 'saga FAILED is failed: no undo of step "ship" is open'],
  ['sagas compensate', ['PARKED', '--reason', ''], 2, 'reason: expected a text of 1 to 2000 characters'],
  ['sagas compensate', [NOBODY], 3, `there is no saga ${NOBODY}`],
  ['sagas compensate', ['FAILED'], 4, 'saga FAILED is failed: it has turned back already'],
  ['sagas resume', [NOBODY], 3, `there is no saga ${NOBODY}`],
  ['sagas resume', ['FAILED'], 4, 'saga FAILED is failed: only a parked saga is resumed'],
  ['sagas resume', ['PARKED'], 4, 'saga PARKED is parked: step "label" has failed'],
  ['sagas cancel', ['nope'], 3, 'there is no saga nope'],
  ['sagas cancel', ['DONE'], 4, 'saga DONE cannot be cancelled: it is completed'],
  ['sagas cancel', ['PARKED'], 4, 'saga PARKED cannot be cancelled: it is parked'],
  ['dead-letters list', ['--event', 'abc'], 2, "--event: expected ids of events, got 'abc'"],
  ['dead-letters list', ['--limit', '0'], 2, '--limit: expected a whole number from 1 to 500'],
  ['dead-letters requeue', [], 2, 'requeue: name eventIds, a destination'],
  [
    'dead-letters requeue',
    ['--event', 'DEAD', '--event', 'x'],
    2,
    "--event: expected ids of events, got 'x'",
  ],
  ['dead-letters discard', ['--event', 'abc'], 2, "--event: expected ids of events, got 'abc'"],
  ['dead-letters discard', ['--event', 'DEAD', '--actor', ' '], 2, 'actor: expected a text'],
  ['published republish', [], 2, 'republish: name eventIds, a destination'],
  ['published republish', ['--sent-after', 'x'], 2, '--sent-after: expected a date'],
  ['migrate', ['now'], 2, 'migrate: "now" is one argument too many'],
  ['check', ['--force'], 2, 'there is no option --force'],
  ['sql', ['--from', '5', '--to', '3'], 2, '--to: 3 is before --from 5'],
];

describeWith('postgres', 'the command line with bad input', () => {
  let shop: StuckShop;
  beforeAll(async () => {
    shop = await StuckShop.open();
  });
  afterAll(() => shop.close());

  it('is tried with every command', () => {
    const tried = new Set(REFUSED.map(([name]) => name));
    expect([...tried].sort()).toEqual(COMMANDS.map(({ name }) => name).sort());
  });

  it.each(REFUSED)(
    '%s %j ends with %i, says why, and changes nothing',
    async (name, words, code, message) => {
      const before = await shop.tables();
      const argv = [...name.split(' '), ...words.map((word) => shop.named(word))];
      const ran = await cli({ DATABASE_URL: shop.url }, ...argv);
      expect([ran.code, ran.out]).toEqual([code, '']);
      expect(ran.err).toContain(`error: ${shop.named(message)}`);
      expect(await shop.tables()).toBe(before);
    },
  );

  it.each([
    ['name', 'nobody-of-that-name', 'username', 'nobody-of-that-name'],
    ['database', 'database "nonesuch" does not exist', 'pathname', '/nonesuch'],
    ['host', 'nonesuch.invalid', 'hostname', 'nonesuch.invalid'],
    ['port', 'ECONNREFUSED', 'port', '1'],
    ['setting', 'unrecognized configuration parameter "foo"', 'search', '?options=-c%20foo%3Dsecret-word'],
    ['certificate', 'ENOENT', 'search', '?sslrootcert=/nonesuch.pem'],
  ] as const)(
    'fails with 1 for a wrong %s, as the driver says it: %s',
    async (_what, message, part, value) => {
      const url = new URL(shop.url);
      url.password = 'secret-word';
      url[part] = value;
      const ran = await cli({ DATABASE_URL: url.href }, 'status', '--json');
      expect([ran.code, ran.out]).toEqual([1, '']);
      expect(ran.err).toContain(JSON.stringify(message).slice(1, -1));
      expect(ran.err).not.toContain('secret-word');
    },
  );

  const ARGUMENTS: Readonly<Record<string, string>> = { ID: NOBODY, STEP: 'charge' };
  const READING = COMMANDS.filter(({ name }) => !['migrate', 'sql'].includes(name));
  it.each(READING.map(({ name, parameters, changes }) => ({ name, parameters, changes })))(
    '$name ends with 5 where our tables are missing, says what to do, and makes none',
    async ({ name, parameters, changes }) => {
      const { url, drop } = await createDatabase();
      const filter = /^(dead-letters|published) /.test(name) && changes ? ['--type', 'order.poison'] : [];
      const words = parameters.map((parameter) => ARGUMENTS[parameter] ?? '');
      const ran = await cli({ DATABASE_URL: url }, ...name.split(' '), ...words, ...filter);
      expect([ran.code, ran.out]).toEqual([5, '']);
      expect(ran.err).toContain('migrate');
      expect((await cli({ DATABASE_URL: url }, 'check')).code).toBe(5);
      await drop();
    },
  );
});

describeWith('postgres', 'the command line with an id that was copied in upper case', () => {
  it('shows and mends the saga as by its own id, and the audit finds what was done', async () => {
    const shop = await StuckShop.open();
    const env = { DATABASE_URL: shop.url };
    const id = shop.named('FAILED');
    const shown = await cli(env, 'sagas', 'show', id);
    expect(shown.out).toContain('charge');
    expect(await cli(env, 'sagas', 'show', id.toUpperCase())).toEqual(shown);
    const { code, out, err } = await cli(env, 'sagas', 'retry', id.toUpperCase());
    expect([code, err, out]).toEqual([0, '', `retry: saga ${id} was failed, is compensating\n`]);
    for (const target of [id, id.toUpperCase()]) {
      const audit = await cli(env, 'audit', '--target', target, '--json');
      expect(JSON.parse(audit.out)).toMatchObject({ actions: [{ action: 'retry', target: id }] });
    }
    await shop.close();
  });
});

describeWith('postgres', 'the command line and published events that are kept', () => {
  it('publishes those of a type once more, and notes who did it', async () => {
    const shop = await StuckShop.open();
    const env = { DATABASE_URL: shop.url };
    expect((await cli(env, 'status')).out).toContain('default      0 ');
    const none = await cli(env, 'published', 'republish', '--type', 'order.nothing');
    expect([none.code, none.out]).toEqual([0, 'republish: 0 events\n']);
    const steering = 'lost\u009b2J';
    const { code, out } = await cli(
      env,
      ...['published', 'republish', '--type', 'order.sent', '--actor', 'ada', '--reason', steering],
    );
    expect([code, out]).toEqual([0, 'republish: 1 events\n']);
    expect((await cli(env, 'status')).out).toContain('default      1 ');
    const audit = await cli(env, 'audit', '--action', 'republish', '--limit', '1', '--json');
    expect(audit.out).not.toContain('\u009b');
    expect(JSON.parse(audit.out)).toMatchObject({ actions: [{ actor: 'ada', reason: steering }] });
    await shop.close();
  });
});

describeWith('postgres', 'the command line that looks at much', () => {
  it(
    'counts to 100,000, and says "at least" behind it, and only there',
    async () => {
      const shop = await StuckShop.open();
      const env = { DATABASE_URL: shop.url };
      const few = await cli(env, 'status');
      expect(few.out).toMatch(/sagas failed +1\nsagas parked +1\n/);
      expect(few.out).not.toContain('at least');
      await shop.grow(100_000);
      const many = await cli(env, 'status');
      expect(many.out).toMatch(/sagas failed +at least (100000|99999)\nsagas parked +at least [01]\n/);
      expect(many.out).toMatch(/default +at least \d{5,6} +\d+ +at least 0 +at least 100000\n/);
      const { out } = await cli(env, 'status', '--json');
      expect(JSON.parse(out)).toMatchObject({ cut: { sagas: true, events: true, trouble: true } });
      await shop.close();
    },
    MANY_ROWS_MS,
  );

  it('says "at least" of no number of events that it has counted to the end', async () => {
    const shop = await StuckShop.open();
    await shop.grow(10_000);
    const { out } = await cli({ DATABASE_URL: shop.url }, 'status', '--json');
    expect(JSON.parse(out)).toMatchObject({
      outbox: { default: { pending: 10_000 } },
      cut: { sagas: false, events: false, trouble: false, stranded: false },
    });
    await shop.close();
  });

  it(
    'counts no more than 100,000 sagas that no worker can run',
    async () => {
      const shop = await StuckShop.open();
      const env = { DATABASE_URL: shop.url };
      await shop.strand(3);
      expect((await cli(env, 'status')).out).toMatch(/order v1 +3 +\d/);
      await shop.strand(100_000);
      expect((await cli(env, 'status')).out).toMatch(/order v1 +at least 100000 +\d/);
      const { out } = await cli(env, 'status', '--json');
      expect(JSON.parse(out)).toMatchObject({ stranded: [{ count: 100_000 }], cut: { stranded: true } });
      await shop.close();
    },
    MANY_ROWS_MS,
  );
});
