import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Ctx, EventPattern, KafkaContext, Payload, Transport } from '@nestjs/microservices';
import { Kafka, logLevel } from 'kafkajs';
import { KafkaBroker, type KafkaBrokerOptions } from '../../../lib/kafka.js';
import { itemOf, itemsOf, patient, statuses, told } from '../../support/brokers/broker-item.js';
import { KafkaListener } from '../../support/brokers/kafka.js';
import { describeWith } from '../../support/requirement.js';
import { freePort } from '../../support/services/free-port.js';
import { PrivateKafka } from '../../support/services/private-kafka.js';
import { startTlsProxy, type TlsProxy } from '../../support/services/tls-proxy.js';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { until } from '../../support/until.js';

const OK = { status: 'ok' };
const rejected = (reason: string) => ({ status: 'rejected', reason });
const unavailable = (refused: boolean) => ({ code: 'SAGAZ_BROKER_UNAVAILABLE', refused });
const JAAS =
  'org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="right" user_admin="right";';

const heard: { data: unknown; type: string; key: unknown }[] = [];

@Controller()
class OrderListener {
  @EventPattern<string>('order.completed')
  order(@Payload() data: unknown, @Ctx() context: KafkaContext) {
    heard.push({ data, type: context.getTopic(), key: context.getMessage().key });
  }
}

@Module({ controllers: [OrderListener] })
class ListenerModule {}

/** One node for all of it, reached through a network that fails when it is told to: it takes several seconds to start. */
describeWith('kafka', 'KafkaBroker and a node that may be in trouble', () => {
  let node: PrivateKafka;
  let proxy: TcpProxy;
  let tls: TlsProxy | undefined;
  let address: string;
  let sasl: string;
  let listener: KafkaListener;
  const brokers: KafkaBroker[] = [];
  const open = async (options: Partial<KafkaBrokerOptions> = {}) => {
    const broker = new KafkaBroker({ ...(options.client ? {} : { brokers: [address] }), ...options });
    brokers.push(broker);
    await broker.connect();
    return broker;
  };
  beforeAll(async () => {
    const [port, saslPort, tlsPort] = [await freePort(), await freePort(), await freePort()];
    proxy = await TcpProxy.to(port);
    tls = process.env['OPENSSL'] ? await startTlsProxy(tlsPort) : undefined;
    [address, sasl] = [`127.0.0.1:${proxy.port}`, `127.0.0.1:${saslPort}`];
    node = await PrivateKafka.start({
      ...{ port, advertised: address },
      listeners: [
        { name: 'SASL_PLAINTEXT', protocol: 'SASL_PLAINTEXT', port: saslPort },
        // Clients come to it through a proxy that speaks TLS to them.
        { name: 'TLS', protocol: 'SASL_PLAINTEXT', port: tlsPort, advertisedPort: tls?.port ?? tlsPort },
      ],
      settings: {
        'sasl.enabled.mechanisms': 'PLAIN',
        'listener.name.sasl_plaintext.plain.sasl.jaas.config': JAAS,
        'listener.name.tls.plain.sasl.jaas.config': JAAS,
      },
    });
    listener = await KafkaListener.on([address], '');
  }, 120_000);
  afterEach(async () => {
    proxy.mute = false;
    for (const broker of brokers.splice(0)) await broker.close();
  });
  afterAll(async () => {
    await listener.close();
    await proxy.close();
    await tls?.close();
    await node.remove();
  }, 60_000);

  it('pitfall 26: a payload with fields of a record arrives as it is, with its key and headers', async () => {
    const broker = await open();
    const records = await listener.records('pitfall');
    const payload = { key: 'k', value: null, headers: { a: 'b' }, partition: 3, topic: 'other' };
    const item = itemOf({ type: 'pitfall', key: 'order-7', payload });
    expect(await broker.publish([item], patient())).toEqual([OK]);
    await until(() => records.length === 1);
    expect(records).toEqual([{ key: 'order-7', value: JSON.stringify(payload), headers: item.headers }]);
  });

  it("reaches Nest's own transport: @EventPattern, its payload unchanged", async () => {
    await listener.create('order.completed');
    const app = await NestFactory.createMicroservice(ListenerModule, {
      transport: Transport.KAFKA,
      options: {
        client: { brokers: [address], logLevel: logLevel.NOTHING },
        ...{ consumer: { groupId: 'billing' }, subscribe: { fromBeginning: true } },
      },
      logger: false,
    });
    await app.listen();
    try {
      const broker = await open();
      const payload = { id: 7, key: 'k', value: { nested: true }, pattern: 'p', data: [1] };
      await told(broker, [itemOf({ type: 'order.completed', key: 'order-9', payload })]);
      await until(() => heard.length === 1);
      expect(heard).toEqual([{ data: payload, type: 'order.completed', key: 'order-9' }]);
    } finally {
      await app.close();
    }
  });

  it('cloudevents are in the binary mode: attributes as headers, the payload as value', async () => {
    const broker = await open({ envelope: 'cloudevents', compression: 'gzip' });
    const records = await listener.records('cloud');
    const item = itemOf({ type: 'cloud', payload: { a: 1 }, headers: { sagaId: 's-1' } });
    await broker.publish([item], patient());
    await until(() => records.length === 1);
    expect(records[0]?.value).toBe('{"a":1}');
    expect(records[0]?.headers).toEqual({
      ...item.headers,
      'content-type': 'application/json',
      ce_specversion: '1.0',
      ce_id: item.eventId,
      ce_source: '/nestjs-sagaz',
      ce_type: 'cloud',
      ce_time: item.headers['occurredAt'],
      ce_partitionkey: 'order-1',
      ce_sagaid: 's-1',
    });
  });

  it('keeps the events of a key in one partition', async () => {
    const broker = await open();
    await listener.create('spread', {}, 4);
    await broker.publish(itemsOf('spread', 400, 20), patient());
    const offsets = await listener.admin.fetchTopicOffsets('spread');
    expect(offsets.filter(({ offset }) => offset !== '0').length).toBeGreaterThan(1);
    for (const { offset } of offsets) expect(Number(offset) % 20).toBe(0);
  });

  it('rejects events of a topic that is not there, and does not make it; others go through once', async () => {
    const broker = await open();
    const records = await listener.records('known');
    const batch = ['known', 'unknown', 'known', 'no such/topic'].map((type) => itemOf({ type }));
    const unknown = rejected('unknown_topic');
    expect(await broker.publish(batch, patient())).toEqual([OK, unknown, OK, unknown]);
    await until(() => records.length === 2);
    expect(await listener.admin.listTopics()).not.toContain('unknown');
  });

  it('rejects the one event that is too large for its topic, and takes all others', async () => {
    const broker = await open();
    await listener.create('small', { 'max.message.bytes': '20000' });
    const records = await listener.records('other');
    const batch = itemsOf('small', 40);
    batch[17] = itemOf({ type: 'small', payload: { text: 'x'.repeat(30_000) } });
    const outcomes = await broker.publish([...batch, itemOf({ type: 'other' })], patient());
    expect(outcomes[17]).toEqual(rejected('too_large'));
    expect(outcomes.filter((_, n) => n !== 17)).toEqual(Array<object>(40).fill(OK));
    await until(() => records.length >= 1);
  });

  it('uses a ready client', async () => {
    const client = new Kafka({ brokers: [address], clientId: 'mine', logLevel: logLevel.NOTHING });
    const broker = await open({ client, topicPrefix: 'mine.' });
    await listener.create('mine.event');
    expect(await broker.publish([itemOf({ type: 'event' })], patient())).toEqual([OK]);
    await broker.ping();
  });

  it('does not tell the password of wrong credentials, and knows that waiting does not help', async () => {
    const as = (password: string) => ({
      ...{ brokers: [sasl], sasl: { mechanism: 'plain', username: 'admin', password } as const },
    });
    await (await open(as('right'))).ping();
    const broker = new KafkaBroker(as('hunter2'));
    const error: unknown = await broker.connect().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject(unavailable(true));
    const outcomes = await told(broker, [itemOf({ type: 'known' })]);
    for (const text of [(error as Error).stack, JSON.stringify([error, outcomes])])
      expect(text).not.toMatch(/hunter2/);
    expect(statuses(outcomes)).toEqual(['untold']);
  });

  describeWith('openssl', 'over TLS', () => {
    const options = (password: string) => ({
      ...{ brokers: [`127.0.0.1:${tls?.port}`], ssl: { ca: [tls?.certificate ?? ''] } },
      sasl: { mechanism: 'plain', username: 'admin', password } as const,
    });

    it('publishes with a certificate that it is told to trust, and with a password', async () => {
      const broker = await open(options('right'));
      const records = await listener.records('secured');
      expect(await broker.publish([itemOf({ type: 'secured' })], patient())).toEqual([OK]);
      await until(() => records.length === 1);
    });

    it('refuses one that it does not trust, without a word of the password', async () => {
      const broker = new KafkaBroker({ ...options('s3cret'), ssl: true });
      const error = await broker.connect().then(() => undefined, String);
      expect(error).toMatch(/self.signed certificate/i);
      expect(error).not.toContain('s3cret');
      await broker.close();
    });
  });

  it('after a reply that was lost, takes no other event for a repeat', async () => {
    const broker = await open();
    const records = await listener.records('numbered');
    const values = () => new Set(records.map(({ value }) => value));
    const [first, second] = [itemsOf('numbered', 10), itemsOf('numbered', 20).slice(10)];
    await told(broker, [itemOf({ type: 'numbered', payload: 'before' })]);
    proxy.mute = true;
    const limit = new AbortController();
    const outcomes = told(broker, first, limit.signal);
    await until(async () => (await endOf('numbered')) >= 11);
    limit.abort();
    expect(statuses(await outcomes)).toEqual(Array<string>(10).fill('untold'));
    proxy.mute = false;
    proxy.cut();
    // As many as before, but others: a producer that counts on from before would have them dropped.
    await until(async () => statuses(await told(broker, second)).every((it) => it === 'ok'));
    await until(() => values().size === 21);
  });

  it('loses nothing and keeps first deliveries in order when connections are cut and the node is killed', async () => {
    const broker = await open();
    await listener.create('load');
    const total = 20_000;
    const left = itemsOf('load', total);
    let trouble = 0;
    for (let round = 1; left.length > 0; round++) {
      const batch = left.slice(0, 500);
      const publishing = told(broker, batch, AbortSignal.timeout(10_000));
      if (round % 9 === 0) setImmediate(() => proxy.cut());
      if (round === 20) await node.kill();
      const outcomes = await publishing;
      const first = outcomes.findIndex(({ status }) => status !== 'ok');
      left.splice(0, first === -1 ? batch.length : first);
      if (round === 20) await node.up();
      if (first === -1) continue;
      trouble += 1;
      await until(
        () =>
          broker.ping().then(
            () => true,
            () => false,
          ),
        60_000,
      );
    }
    // kafkajs mends most of it by itself.
    expect(trouble).toBeGreaterThan(0);
    const records = await listener.records('load');
    await until(() => new Set(records.map(({ value }) => value)).size === total, 60_000);
    const numbers = records.map(({ value = '' }) => (JSON.parse(value) as { n: number }).n);
    expect([...new Set(numbers)]).toEqual(Array.from({ length: total }, (_, n) => n));
  }, 180_000);

  /** Offset of the end of a topic with one partition, asked of the node itself, not through the network that fails. */
  async function endOf(topic: string): Promise<number> {
    const kafka = new Kafka({
      ...{ brokers: [sasl], logLevel: logLevel.NOTHING },
      sasl: { mechanism: 'plain', username: 'admin', password: 'right' },
    });
    const admin = kafka.admin();
    await admin.connect();
    try {
      const [offsets] = await admin.fetchTopicOffsets(topic);
      return Number(offsets?.high);
    } finally {
      await admin.disconnect();
    }
  }
});
