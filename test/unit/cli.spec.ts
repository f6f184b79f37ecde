import { readFile } from 'node:fs/promises';
import { stripVTControlCharacters } from 'node:util';
import { EXIT_CODES } from '../../lib/cli/exit-code.js';
import { COMMANDS } from '../../lib/cli/run.js';
import { table } from '../../lib/cli/table.js';
import { cli } from '../support/cli.js';

const UNREACHABLE = { DATABASE_URL: 'postgres://ada:secret-word@127.0.0.1:1/none' };
const ID = '0190f2d0-0000-7000-8000-000000000000';

describe('the command line', () => {
  it('lists every command, its environment and its exit codes, and helps with each', async () => {
    const { code, out } = await cli({}, '--help');
    expect(code).toBe(0);
    for (const { name, summary } of COMMANDS)
      expect(out).toMatch(new RegExp(`${name}.*${summary.slice(0, 20)}`));
    expect(out).toContain('DATABASE_URL');
    for (const command of COMMANDS) {
      const help = await cli({}, ...command.name.split(' '), '--help');
      expect([help.code, help.err]).toEqual([0, '']);
      for (const option of Object.keys(command.options)) expect(help.out).toContain(`--${option} `);
      expect(help.out.includes('--reason')).toBe(command.changes);
    }
  });

  it('prints its help to whoever says nothing, and calls that wrong', async () => {
    const { code, out } = await cli({});
    expect([code, out.startsWith('nestjs-sagaz <command>')]).toEqual([2, true]);
  });

  it('prints a fault, not its help, to a program that says nothing', async () => {
    const { code, out, err } = await cli({}, '--json');
    expect([code, out]).toEqual([2, '']);
    expect(JSON.parse(err)).toEqual({ error: { code: 'USAGE', message: 'which command? See --help' } });
  });

  it.each([
    [['statsu'], 'there is no command "statsu"; did you mean "status"?'],
    [['saga', 'list'], 'there is no command "saga"; did you mean "sagas"?'],
    [['sagas'], 'there is no command "sagas" (sagas list, sagas show, sagas retry'],
    [['sagas', 'retyr', ID], 'there is no command "sagas retyr"; did you mean "sagas retry"?'],
    [['sagas', 'retry'], 'sagas retry: ID is missing'],
    [['sagas', 'skip', ID], 'sagas skip: STEP is missing'],
    [['sagas', 'retry', ID, 'more'], 'sagas retry: "more" is one argument too many'],
    [['sagas', 'list', '--staus', 'failed'], 'there is no option --staus; did you mean "--status"?'],
    [['sagas', 'list', '--reason', 'x'], 'there is no option --reason'],
    [['sagas', 'list', '--limit'], "Option '--limit <value>' argument missing"],
    [['sagas', 'list', '--json=yes'], "Option '--json' does not take an argument"],
    [['dead-letters', 'discard', '--type', 'order.a', '--type', 'order.b'], '--type: give it once'],
    [['dead-letters', 'discard', '--key=a', '--event', ID, '--key=b'], '--key: give it once'],
    [['sagas', 'retry', ID, '--reason', 'x', '--reason', 'y'], '--reason: give it once'],
    [['sql', '--from', '1', '--from', '2'], '--from: give it once'],
    [['sagas', 'list', '--limit', 'many'], '--limit: expected a whole number, got "many"'],
    [
      ['sagas', 'list', '--started-after', 'yesterday'],
      '--started-after: expected a date such as 2026-11-27',
    ],
    [['sagas', 'list', '--tag', 'north'], '--tag: expected name=value, got "north"'],
    [['dead-letters', 'list', '--died-after', '2026-13-01'], '--died-after: expected a date'],
    [['audit', '--action', 'rtry'], '--action: "rtry" is none; did you mean "retry"?'],
    [['audit', '--before', 'x'], '--before: expected the id of an action'],
    [['sagas', 'list', '--limit', '501'], '--limit: expected a whole number from 1 to 500'],
    [['sagas', 'list', '--after', 'x'], '--after: expected what `next` of a page gave'],
    [['sagas', 'list', '--status', 'faild'], '--status: "faild" is none; did you mean "failed"?'],
    [['sagas', 'retry', ID, '--actor', ''], 'actor: expected a text of 1 to 200 characters'],
    [['sagas', 'cancel', ID, '--reason', ''], 'reason: expected a text of 1 to 2000 characters'],
    [['dead-letters', 'list', '--limit', '0'], '--limit: expected a whole number from 1 to 500'],
    [['dead-letters', 'list', '--event', 'abc'], "--event: expected ids of events, got 'abc'"],
    [['dead-letters', 'list', '--after', '0190f2d0'], '--after: expected what `next` of a page gave'],
    [['dead-letters', 'requeue'], 'requeue: name eventIds, a destination'],
    [['published', 'republish', '--reason', 'all'], 'republish: name eventIds, a destination'],
    [['published', 'republish', '--sent-after', 'x'], '--sent-after: expected a date'],
    [['dead-letters', 'discard', '--reason', 'all'], 'discard: name eventIds, a destination'],
    [['sql', '--from', 'x'], '--from: expected the number of a migration'],
    [['sql', '--from', '99'], '--from: expected the number of a migration, 0 to '],
    [['dead-letters', 'discard', '--died-before', '2026-02-31'], '--died-before: expected a date'],
  ])('refuses %j with exit code 2, saying why, before it connects', async (argv, message) => {
    const { code, out, err } = await cli(UNREACHABLE, ...argv);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain(`error: ${message}`);
  });

  it.each([
    [{}, 'DATABASE_URL is not set; set it to postgres://'],
    [{ DATABASE_URL: 'mysql://root:secret-word@db/x' }, 'DATABASE_URL is not of the form postgres://'],
    [{ DATABASE_URL: 'postgres://ada:secret-word%@db/x' }, 'DATABASE_URL has a % that stands for nothing'],
    [{ ...UNREACHABLE, SAGAZ_SCHEMA: 'a b' }, 'SAGAZ_SCHEMA must be letters, digits and _'],
  ])('refuses the environment %j with exit code 2, without the secret in it', async (env, message) => {
    const { code, err } = await cli(env, 'sagas', 'show', ID);
    expect(code).toBe(2);
    expect(err).toContain(message);
    expect(err).not.toContain('secret-word');
  });

  it('fails with exit code 1 where nobody answers, as JSON where JSON is wanted, without the password', async () => {
    const { code, out, err } = await cli(UNREACHABLE, 'status', '--json');
    expect([code, out]).toEqual([1, '']);
    expect(JSON.parse(err)).toMatchObject({
      error: { code: 'ERROR', message: expect.stringContaining('ECONNREFUSED') },
    });
    expect(err).not.toContain('secret-word');
  });

  it('prints the statements of the migrations without a database', async () => {
    const { code, out } = await cli({ SAGAZ_SCHEMA: 'shop' }, 'sql', '--from', '7');
    expect([code, out.includes('CREATE TABLE "shop"."saga_audit"'), out.includes('saga_outbox')]).toEqual([
      0,
      true,
      false,
    ]);
  });

  it('lets nothing of what it prints steer a terminal', () => {
    const text = table(['key'], [['\u001b[2Jgone\nnext']]);
    expect(stripVTControlCharacters(text)).toBe('KEY\n [2Jgone next');
  });

  it('lets nothing of what it refuses steer a terminal, also as JSON', async () => {
    const name = 'x\u009b2J\u007f\u001b[2J\ny';
    expect((await cli({}, name)).err).toBe('error: there is no command "x 2J [2J y"\n');
    const { err } = await cli({}, name, '--json');
    expect(err).toContain('x\\u009b2J\\u007f\\u001b[2J\\ny');
    expect(err).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    expect(JSON.parse(err)).toMatchObject({ error: { message: `there is no command "${name}"` } });
  });

  it('is documented: every command, option and exit code', async () => {
    const page = await readFile('docs/operations/cli.md', 'utf8');
    const documented = [...page.matchAll(/^\| `([a-z][a-z -]*?)(?: <.*?>)*`/gm)].map(([, name]) => name);
    expect(documented).toEqual(COMMANDS.map(({ name }) => name));
    const options = new Set([...page.matchAll(/`--([a-z-]+)/g)].map(([, name]) => name));
    const known = COMMANDS.flatMap((it) => Object.keys(it.options));
    expect([...options].sort()).toEqual([...new Set([...known, 'json', 'help', 'actor', 'reason'])].sort());
    const codes = [...page.matchAll(/^\| (\d) +\| (.*?) +\|/gm)].map(([, code, help]) => [code, help]);
    expect(codes).toEqual(Object.entries(EXIT_CODES).map(([code, { help }]) => [code, help]));
  });
});
