import assert from 'node:assert/strict';
import type { MessageBroker, PublishItem } from '../../lib/index.js';
import { itemOf, itemsOf, patient, statuses, told } from '../support/brokers/broker-item.js';
import { until } from '../support/until.js';
import { unique, type ContractCase } from './saga-storage.contract.js';

/** A message as a consumer got it. */
export interface ReceivedMessage {
  readonly type: string;
  /** JSON text. */
  readonly payload: string;
  /** None where the broker has no message headers. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A broker with envelope `nest`, and a consumer of its server. */
export interface BrokerUnderTest {
  readonly broker: MessageBroker;
  /** Another one for the same server, not yet connected. */
  another(): MessageBroker;
  /** Messages of this type, from now on, in the order in which they came. */
  receive(type: string): Promise<readonly ReceivedMessage[]>;
  readonly hasHeaders: boolean;
}

async function publish(broker: MessageBroker, batch: readonly PublishItem[]): Promise<void> {
  const outcomes = await broker.publish(batch, patient());
  assert.deepEqual(
    outcomes,
    batch.map(() => ({ status: 'ok' })),
  );
}

const type = () => `${unique('order').replaceAll(' ', '-')}.completed`;
const PAYLOADS = [
  { nested: { list: [1, 'two', null, true], key: 'k', value: 'v', pattern: 'p', data: 'd', id: 7 } },
  { text: 'Grüße, "quoted" \\ \u2028 €', empty: {} },
  [1, 2, 3],
];

/** What every broker must do. Cases share one broker, which is connected. */
export const brokerContract: readonly ContractCase<BrokerUnderTest>[] = [
  {
    name: 'has a name',
    run: async ({ broker }) => assert.match(broker.kind, /^[\w-]+$/),
  },
  {
    name: 'answers a ping',
    run: ({ broker }) => broker.ping(),
  },
  {
    name: 'takes an empty batch',
    run: ({ broker }) => publish(broker, []),
  },
  {
    name: 'delivers payloads whole',
    async run({ broker, receive }) {
      const name = type();
      const received = await receive(name);
      await publish(
        broker,
        PAYLOADS.map((payload) => itemOf({ type: name, payload })),
      );
      await until(() => received.length === PAYLOADS.length);
      assert.deepEqual(
        received.map(({ payload }) => JSON.parse(payload) as unknown),
        PAYLOADS,
      );
    },
  },
  {
    name: 'delivers the headers of an event, where messages have headers',
    async run({ broker, receive, hasHeaders }) {
      const name = type();
      const received = await receive(name);
      const item = itemOf({ type: name, key: 'ключ', headers: { sagaId: 's-1', traceparent: '00-1-2-01' } });
      await publish(broker, [item]);
      await until(() => received.length === 1);
      assert.equal(received[0]?.type, name);
      if (hasHeaders) assert.deepEqual({ ...received[0]?.headers }, item.headers);
    },
  },
  {
    name: 'keeps the order of a key, within a batch and from one batch to the next',
    async run({ broker, receive }) {
      const name = type();
      const received = await receive(name);
      const items = itemsOf(name, 2_000);
      await publish(broker, items.slice(0, 1_500));
      await publish(broker, items.slice(1_500));
      await until(() => received.length === items.length);
      assert.deepEqual(
        received.map(({ payload }) => payload),
        items.map(({ payload }) => payload),
      );
    },
  },
  {
    name: 'takes events of several types in one batch',
    async run({ broker, receive }) {
      const names = [type(), type()];
      const [first, second] = await Promise.all(names.map((name) => receive(name)));
      await publish(
        broker,
        names.flatMap((name) => itemsOf(name, 10)),
      );
      await until(() => first?.length === 10 && second?.length === 10);
    },
  },
  {
    name: 'takes large events, also several in one batch',
    async run({ broker, receive }) {
      const name = type();
      const received = await receive(name);
      const text = 'x'.repeat(900_000);
      await publish(
        broker,
        [1, 2, 3].map((n) => itemOf({ type: name, payload: { n, text } })),
      );
      await until(() => received.length === 3);
      assert.deepEqual(
        received.map(({ payload }) => payload.length),
        [900_017, 900_017, 900_017],
      );
    },
  },
  {
    name: 'has taken nothing when the time-out has ended before',
    async run({ broker, receive }) {
      const name = type();
      await receive(name);
      const outcomes = await told(broker, itemsOf(name, 3), AbortSignal.abort());
      assert.deepEqual(statuses(outcomes), ['untold', 'untold', 'untold']);
    },
  },
  {
    name: 'once closed, answers no ping and takes nothing, and is closed again without a word',
    async run({ another, receive }) {
      const name = type();
      await receive(name);
      const broker = another();
      await broker.connect();
      await broker.close();
      await assert.rejects(broker.ping());
      const outcomes = await told(broker, itemsOf(name, 2));
      assert.ok(outcomes.every(({ status }) => status === 'untold' || status === 'retryable'));
      await broker.close();
    },
  },
];
