import pg from 'pg';
import { COMMANDS } from '../../lib/cli/run.js';
import { cli } from '../support/cli.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { describeWith } from '../support/requirement.js';

const NOBODY = '0190f2d0-0000-7000-8000-000000000000';

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
  ['sagas retry', [NOBODY, '--actor', ''], 2, 'actor: expected a text of 1 to 200 characters'],
  ['sagas skip', [NOBODY, 'charge'], 3, `there is no saga ${NOBODY}`],
  ['sagas resolve', ['nope', 'charge'], 3, 'there is no saga nope'],
  ['sagas compensate', [NOBODY, '--reason', ''], 2, 'reason: expected a text of 1 to 2000 characters'],
  ['sagas resume', [NOBODY], 3, `there is no saga ${NOBODY}`],
  ['sagas cancel', ['nope'], 3, 'there is no saga nope'],
  ['dead-letters list', ['--event', 'abc'], 2, "--event: expected ids of events, got 'abc'"],
  ['dead-letters list', ['--limit', '0'], 2, '--limit: expected a whole number from 1 to 500'],
  ['dead-letters requeue', [], 2, 'requeue: name eventIds, a destination'],
  ['dead-letters discard', ['--event', 'abc'], 2, "--event: expected ids of events, got 'abc'"],
  ['migrate', ['now'], 2, 'migrate: "now" is one argument too many'],
  ['check', ['--force'], 2, 'there is no option --force'],
  ['sql', ['--from', '5', '--to', '3'], 2, '--to: 3 is before --from 5'],
];

describeWith('postgres', 'the command line with bad input', () => {
  let database: TestDatabase;
  let pool: pg.Pool;
  beforeAll(async () => {
    database = await createDatabase();
    pool = new pg.Pool({ connectionString: database.url, max: 1 });
    expect((await cli({ DATABASE_URL: database.url }, 'migrate')).code).toBe(0);
  });
  afterAll(async () => {
    await pool.end();
    await database.drop();
  });

  const tables = async (): Promise<string> => {
    const { rows } = await pool.query<{ xml: string }>(
      `SELECT database_to_xml(true, false, '')::text AS xml`,
    );
    return rows[0]?.xml ?? '';
  };

  it('is tried with every command', () => {
    const tried = new Set(REFUSED.map(([name]) => name));
    expect([...tried].sort()).toEqual(COMMANDS.map(({ name }) => name).sort());
  });

  it.each(REFUSED)(
    '%s %j ends with %i, says why, and changes nothing',
    async (name, words, code, message) => {
      const before = await tables();
      const ran = await cli({ DATABASE_URL: database.url }, ...name.split(' '), ...words);
      expect([ran.code, ran.out]).toEqual([code, '']);
      expect(ran.err).toContain(`error: ${message}`);
      expect(await tables()).toBe(before);
    },
  );
});
