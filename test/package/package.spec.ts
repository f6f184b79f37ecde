import { execFile, spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { publint } from 'publint';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { installNest11, packPackage, type PackedPackage } from '../support/packed-package.js';
import { describeWith } from '../support/requirement.js';

const run = promisify(execFile);
const node = process.execPath;

let packed: PackedPackage;
beforeAll(async () => {
  packed = await packPackage();
}, 60_000);
afterAll(() => packed.remove());

it('is published as publint and attw want it', async () => {
  const { messages } = await publint({ pkgDir: packed.contents, strict: true });
  expect(messages).toEqual([]);
  const attw = path.resolve('node_modules/@arethetypeswrong/cli/dist/index.js');
  const { stdout } = await run(node, [attw, packed.tarball, '--format', 'ascii', '--no-color']);
  expect(stdout).toContain('No problems found');
}, 60_000);

/** Optional peers, which most applications do not have. */
const OPTIONAL_PACKAGES = [
  'amqplib',
  'amqp-connection-manager',
  'kafkajs',
  'ioredis',
  'prom-client',
  '@opentelemetry',
];

const dependencies = {
  'Nest 12': () => Promise.resolve(path.resolve('node_modules')),
  'Nest 11': installNest11,
};

describe.each(Object.entries(dependencies))('the packed package on %s', (_name, install) => {
  let project: string;
  beforeAll(async () => {
    project = await packed.install(await install(), OPTIONAL_PACKAGES);
  }, 120_000);

  it('exports the same names to import and to require', async () => {
    const imported = await run(node, ['import-all.mjs'], { cwd: project });
    const required = await run(node, ['require-all.cjs'], { cwd: project });
    const names = JSON.parse(imported.stdout) as Record<string, string[]>;
    expect(JSON.parse(required.stdout)).toEqual(names);
    expect(names['nestjs-sagaz']).toEqual(
      expect.arrayContaining(['Compensate', 'Outbox', 'Saga', 'SagaOrchestrator', 'SagaStep', 'SagazModule']),
    );
    expect(names['nestjs-sagaz/microservices']).toEqual([
      'ClientProxyBroker',
      'InMemoryContext',
      'InMemoryTransport',
      'RedisStreamsContext',
      'RedisStreamsTransport',
    ]);
    expect(names['nestjs-sagaz/typeorm']).toContain('sagazMigrations');
    expect(names['nestjs-sagaz/prometheus']).toEqual(['SagazPrometheusModule']);
    expect(names['nestjs-sagaz/opentelemetry']).toEqual(['SagazOpenTelemetryModule']);
    expect(names['nestjs-sagaz/terminus']).toEqual(['OutboxHealthIndicator', 'SagaHealthIndicator']);
    expect(names['nestjs-sagaz/rabbitmq']).toEqual(['RabbitMqBroker']);
    expect(names['nestjs-sagaz/kafka']).toEqual(['KafkaBroker']);
    expect(names['nestjs-sagaz/redis']).toEqual(['RedisStreamsBroker']);
    expect(names['nestjs-sagaz/admin']).toEqual(['SagazAdminModule']);
  });

  it('names the package that a broker or a module lacks, and the command that installs it', async () => {
    for (const program of ['lacking-peers.mjs', 'lacking-peers.cjs']) {
      const { stdout } = await run(node, [program], { cwd: project });
      expect(stdout.trim().split('\n')).toEqual([
        'SAGAZ_MISSING_PEER the package "amqplib" is not installed: npm install amqplib',
        'SAGAZ_MISSING_PEER the package "kafkajs" is not installed: npm install kafkajs',
        'SAGAZ_MISSING_PEER the package "ioredis" is not installed: npm install ioredis@5',
        'SAGAZ_MISSING_PEER the package "prom-client" is not installed: npm install prom-client',
        'SAGAZ_MISSING_PEER the package "@opentelemetry/api" is not installed: npm install @opentelemetry/api',
      ]);
    }
  });

  it('answers operators over HTTP, behind a guard, with the statuses of its errors', async () => {
    const { stdout } = await run(node, ['admin-app.mjs'], { cwd: project });
    expect(JSON.parse(stdout)).toEqual([403, 200, 400, 404, 409, 200]);
  });

  it('brings its command line, which says what to do without a database', async () => {
    const bin = path.join(project, 'node_modules/nestjs-sagaz', packed.bin);
    const help = await run(node, [bin, '--help'], { cwd: project });
    expect(help.stdout).toContain('sagas retry <ID>');
    const environment = { ...process.env, DATABASE_URL: '' };
    await expect(run(node, [bin, 'status'], { cwd: project, env: environment })).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('DATABASE_URL is not set') as string,
    });
  });

  describeWith('postgres', 'with a database', () => {
    let database: TestDatabase;
    beforeAll(async () => {
      database = await createDatabase();
    });
    afterAll(() => database.drop());

    it('migrates by its command line, and says so', async () => {
      const bin = path.join(project, 'node_modules/nestjs-sagaz', packed.bin);
      const env = { ...process.env, DATABASE_URL: database.url, SAGAZ_SCHEMA: 'by_cli' };
      await expect(run(node, [bin, 'check'], { cwd: project, env })).rejects.toMatchObject({ code: 5 });
      await run(node, [bin, 'migrate'], { cwd: project, env });
      const { stdout } = await run(node, [bin, 'check', '--json'], { cwd: project, env });
      expect(JSON.parse(stdout)).toEqual({ schema: 'by_cli', upToDate: true });
    });

    it('undoes nothing because of a SIGTERM that closes a client under a running step; the next process completes', async () => {
      const environment = { ...process.env, DATABASE_URL: database.url };
      const first = spawn(node, ['sigterm-app.mjs'], { cwd: project, env: environment });
      const lines: string[] = [];
      for await (const line of createInterface({ input: first.stdout })) {
        lines.push(line);
        if (line === 'CALLED') first.kill('SIGTERM');
      }
      expect(lines).toContain('CALLED');
      expect(lines).toContain('CLIENT CLOSED');
      expect(lines).not.toContain('UNDONE');

      const second = await run(node, ['sigterm-app.mjs', 'answering'], { cwd: project, env: environment });
      expect(second.stdout).not.toContain('UNDONE');
      expect(second.stdout).toContain('ENDED completed');
    }, 60_000);
  });
});
