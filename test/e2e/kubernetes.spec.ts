import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import type pg from 'pg';
import { connect, type ChannelModel } from 'amqplib';
import { rabbitMqUrl } from '../support/brokers/rabbitmq.js';
import { createDatabase, poolOf, type TestDatabase } from '../support/database.js';
import {
  environmentOf,
  metricsNamed,
  podsOf,
  readManifests,
  type Container,
} from '../support/kubernetes/manifests.js';
import { describeWith } from '../support/requirement.js';
import { until } from '../support/until.js';

const run = promisify(execFile);
const ORDERS = 300;

/** A container of the manifests as a plain process: its command and its environment, and the services of this machine. */
class Pod {
  private static readonly running = new Set<Pod>();
  private readonly child: ChildProcess;
  private readonly ended: Promise<unknown[]>;
  private printed = '';
  url = '';

  constructor(env: NodeJS.ProcessEnv) {
    this.child = spawn(process.execPath, ['dist/sample/03-kubernetes/main.js'], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.printed += text;
        this.url = /listening on http:\/\/\S+:(\d+)/.exec(this.printed)?.[1] ?? '';
        if (this.url !== '') this.url = `http://127.0.0.1:${this.url}`;
      });
    this.ended = once(this.child, 'exit');
    Pod.running.add(this);
  }

  static killAll(): void {
    for (const pod of Pod.running) pod.child.kill('SIGKILL');
  }

  get output(): string {
    return this.printed;
  }

  /** By its probes, as the kubelet asks them. */
  async isReady({ startupProbe, livenessProbe, readinessProbe }: Container): Promise<void> {
    await until(() => {
      if (this.child.exitCode !== null)
        throw new Error(`it ended with ${this.child.exitCode}:\n${this.printed}`);
      return this.url !== '';
    });
    for (const probe of [startupProbe, livenessProbe, readinessProbe]) {
      const path = probe?.httpGet?.path;
      if (path === undefined) throw new Error('a probe asks for no path');
      expect([path, (await fetch(this.url + path)).status]).toEqual([path, 200]);
    }
  }

  async exit(): Promise<number | null> {
    const [code] = (await this.ended) as [number | null];
    Pod.running.delete(this);
    return code;
  }

  /** As the kubelet does it. @returns the exit code */
  terminate(): Promise<number | null> {
    this.child.kill('SIGTERM');
    return this.exit();
  }
}

describeWith('postgres', 'the containers of the manifests', () => {
  let database: TestDatabase;
  let pool: pg.Pool;
  let containers: ReadonlyMap<string, Container>;
  let environments: ReadonlyMap<string, NodeJS.ProcessEnv>;
  const container = (name: string) => containers.get(name) as Container;
  const environment = (name: string) => environments.get(name) ?? {};
  const cli = (name: string) => {
    const [, ...words] = container(name).command ?? [];
    return run(process.execPath, ['dist/esm/cli/main.js', ...words], { env: environment(name) });
  };

  beforeAll(async () => {
    database = await createDatabase();
    pool = poolOf(database.url, 2);
    const manifests = await readManifests();
    const found = podsOf(manifests).flatMap(({ pod }) => [...(pod.initContainers ?? []), ...pod.containers]);
    containers = new Map(found.map((it) => [it.name, it]));
    const here: NodeJS.ProcessEnv = { DATABASE_URL: database.url, RABBITMQ_URL: rabbitMqUrl(), PORT: '0' };
    environments = new Map(
      found.map((it) => {
        const given = environmentOf(it, manifests);
        const known = Object.entries(here).filter(([name]) => name in given);
        return [it.name, { PATH: process.env['PATH'], ...given, ...Object.fromEntries(known) }];
      }),
    );
  });
  afterAll(async () => {
    Pod.killAll();
    await pool.end();
    await database.drop();
  });

  it('check the tables before they start, and never change them; the job does', async () => {
    await expect(cli('check')).rejects.toMatchObject({
      code: 5,
      stderr: expect.stringContaining('nestjs-sagaz migrate'),
    });
    const pod = new Pod({ ...environment('api'), SAGAZ_BROKER: 'memory' });
    expect([await pod.exit(), pod.output]).toEqual([1, expect.stringContaining('lacks the migrations')]);
    expect((await pool.query(`SELECT 1 FROM pg_tables WHERE tablename LIKE 'saga%'`)).rowCount).toBe(0);
    await cli('migrate');
    expect((await cli('check')).stdout).toContain('schema "sagaz"');
  });

  it('refuse wrong variables at the start, each with its name, and without what they hold', async () => {
    const wrong = {
      ...{ DATABASE_URL: 'mysql://root:secret-word@db/x', SAGAZ_SCHEMA: 'a b', SAGAZ_BROKER: 'pigeon' },
      ...{ RABBITMQ_URL: 'http://guest:secret-word@mq', SAGAZ_WORKER: 'al', SAGAZ_SHUTDOWN_TIMEOUT: 'soon' },
      ...{ PORT: '70000', LOG_LEVEL: 'loud' },
    };
    const pod = new Pod({ ...environment('api'), ...wrong });
    expect(await pod.exit()).toBe(1);
    const named = pod.output.split('\n').map((line) => line.split(':')[0]);
    expect(named.filter(Boolean)).toEqual(Object.keys(wrong));
    expect(pod.output).not.toContain('secret-word');
  });

  describeWith('rabbitmq', 'with a broker', () => {
    let connection: ChannelModel;
    const heard = new Set<string>();

    beforeAll(async () => {
      connection = await connect(rabbitMqUrl());
      const channel = await connection.createChannel();
      await channel.assertExchange('saga-events', 'topic', { durable: true });
      const { queue } = await channel.assertQueue('', { exclusive: true });
      await channel.bindQueue(queue, 'saga-events', 'order.placed');
      const take = (text: string) => {
        const { orderId } = (JSON.parse(text) as { data: { orderId: string } }).data;
        heard.add(orderId);
      };
      await channel.consume(queue, (message) => message && take(message.content.toString()), { noAck: true });
    });
    afterAll(() => connection.close());

    const relaying = async (): Promise<number> => {
      const { rows } = await pool.query<{ n: number }>(
        'SELECT count(DISTINCT owner)::int AS n FROM sagaz.saga_outbox_shard WHERE owner IS NOT NULL',
      );
      return rows[0]?.n ?? 0;
    };

    it('answer their probes, and scale from one worker to three and back under load, without loss', async () => {
      const api = new Pod(environment('api'));
      const workers = [new Pod(environment('outbox-worker'))];
      await api.isReady(container('api'));
      const prefix = `${process.pid}-${Date.now()}`;
      const placed: string[] = [];
      let loading = true;
      const load = async () => {
        while (loading || placed.length < ORDERS) {
          const orderId = `${prefix}-${placed.length}`;
          placed.push(orderId);
          const body = JSON.stringify({ orderId });
          const headers = { 'content-type': 'application/json' };
          const { status } = await fetch(`${api.url}/orders`, { method: 'POST', headers, body });
          if (status !== 202) throw new Error(`an order was answered with ${status}`);
        }
      };
      const loads = [load(), load(), load()];
      try {
        await workers[0]?.isReady(container('outbox-worker'));
        await until(async () => (await relaying()) === 1 && heard.size > 0);
        workers.push(new Pod(environment('outbox-worker')), new Pod(environment('outbox-worker')));
        for (const worker of workers) await worker.isReady(container('outbox-worker'));
        await until(async () => (await relaying()) === 3);
        const during = placed.length;
        await until(() => placed.length >= during + 50);
        expect(await Promise.all(workers.splice(0, 2).map((worker) => worker.terminate()))).toEqual([0, 0]);
        await until(async () => (await relaying()) === 1);
        const after = placed.length;
        await until(() => placed.length >= after + 50);
      } finally {
        loading = false;
      }
      await Promise.all(loads);
      await until(() => placed.every((orderId) => heard.has(orderId)));
      const bad = await fetch(`${api.url}/orders`, { method: 'POST' });
      expect(bad.status).toBe(400);
      const exported = async () =>
        (
          await Promise.all([api, ...workers].map(async ({ url }) => (await fetch(`${url}/metrics`)).text()))
        ).join('\n');
      expect(await exported()).toMatch(/^sagaz_sagas_ended_total\{.*status="completed".*\} \d\d\d/m);
      // What the manifests scale and alarm by, as the processes that they start export it: pitfall 23. The gauges of the
      // whole outbox are exported by the worker that counts; when that one has gone, another takes over a moment later.
      const named = await metricsNamed();
      expect(named).toContain('sagaz_outbox_pending_events');
      for (const name of named) {
        const sample = new RegExp(`^${name}\\{.*\\} \\d`, 'm');
        await until(async () => sample.test(await exported())).catch((cause: unknown) => {
          throw new Error(`no process exports ${name}`, { cause });
        });
      }
      expect(await Promise.all([api, ...workers].map((pod) => pod.terminate()))).toEqual([0, 0]);
    }, 120_000);
  });
});
