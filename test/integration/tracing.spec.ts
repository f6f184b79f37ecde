import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'amqplib';
import { uuidV7 } from '../../lib/events/uuid-v7.js';
import { createDatabase, type TestDatabase } from '../support/database.js';
import { rabbitMqUrl } from '../support/brokers/rabbitmq.js';
import { describeWith } from '../support/requirement.js';
import { treeOf, type SeenSpan } from '../support/span-tree.js';
import { until } from '../support/until.js';

interface ToldSpan extends SeenSpan {
  readonly part: string;
  readonly traceId: string;
  readonly links: readonly string[];
}

type Told = ToldSpan | { readonly ready: true } | { readonly charging: true };

/** One of the three services, and what it has told. */
class Service {
  readonly said: Told[] = [];
  readonly child: ChildProcess;

  constructor(part: 'shop' | 'worker' | 'mail', env: Record<string, string>) {
    this.child = fork('test/integration/programs/traced.mjs', [part], { env: { ...process.env, ...env } });
    this.child.on('message', (message: Told) => this.said.push(message));
  }

  async heard(what: 'ready' | 'charging'): Promise<this> {
    await until(() => this.said.some((it) => what in it));
    return this;
  }

  get spans(): ToldSpan[] {
    return this.said.filter((it) => 'spanId' in it);
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.disconnect();
    await once(this.child, 'exit');
  }
}

describeWith('rabbitmq', 'a trace through three processes', () => {
  let database: TestDatabase;
  const exchange = `traced-${uuidV7()}`;
  const services: Service[] = [];

  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(async () => {
    await Promise.all(services.map((service) => service.end()));
    const connection = await connect(rabbitMqUrl());
    const channel = await connection.createChannel();
    await channel.deleteQueue(`${exchange}-mail`);
    await channel.deleteExchange(exchange);
    await connection.close();
    await database.drop();
  });

  function start(part: 'shop' | 'worker' | 'mail'): Promise<Service> {
    const service = new Service(part, { DATABASE_URL: database.url, EXCHANGE: exchange });
    services.push(service);
    return service.heard('ready');
  }

  it('holds from the request to the last consumer, over a process that is killed in the middle', async () => {
    const shop = await start('shop');
    const mail = await start('mail');
    shop.child.send({ order: { id: 1 } });
    await shop.heard('charging');
    await until(() => shop.spans.length === 2);
    shop.child.kill('SIGKILL');
    const worker = await start('worker');
    // A consumer may have told its spans before the relay has heard of the broker's confirm.
    await until(() => mail.spans.length === 2 && worker.spans.length === 3);

    const spans = services.flatMap((service) => service.spans);
    const [{ traceId = '' } = {}] = spans;
    expect(new Set(spans.map((span) => span.traceId))).toEqual(new Set([traceId]));
    // The saga's own span and that of its second step went down with the first process: they are known by their ids only.
    expect(treeOf(spans)).toEqual([
      'POST /orders',
      '? step reserve',
      '? saga order',
      '  step charge',
      '    outbox publish',
      '      inbox process',
      '        POST /mail',
    ]);
    const find = (name: string) => spans.find((span) => span.name === name);
    const lost = find('step reserve')?.parentId;
    expect(find('saga order')).toMatchObject({ part: 'worker', parentId: lost, links: [lost] });
    expect(spans.map(({ part, name }) => `${part}: ${name}`).toSorted()).toEqual([
      'mail: POST /mail',
      'mail: inbox process',
      'shop: POST /orders',
      'shop: step reserve',
      'worker: outbox publish',
      'worker: saga order',
      'worker: step charge',
    ]);
  }, 60_000);
});
