import type { PublishItem } from '../../lib/index.js';
import { itemOf, told } from '../support/brokers/broker-item.js';
import { killedRabbitMq, type KilledServer } from '../support/brokers/killed-server.js';
import { DEAD, TYPE } from '../support/brokers/places.js';
import { describeWith } from '../support/requirement.js';
import { until } from '../support/until.js';
import { ChaosWorld } from './support/chaos-world.js';
import { TAKEN_TABLE, type Counted } from './support/takers.js';

/** So many are given up, more or less, when the server is killed. */
const GIVEN_UP = 100;
/** Longer than the window of the consumers. */
const LONG_AGO = new Date(Date.now() - 7_200_000).toISOString();

function event(n: number, old: boolean): PublishItem {
  const payload: Counted = { key: 'key', n, poison: false, old };
  return itemOf({ type: TYPE, payload, headers: old ? { stampedAt: LONG_AGO } : {} });
}

describeWith('postgres', 'messages that a consumer gives up', () => {
  let world: ChaosWorld;
  let server: KilledServer | undefined;
  beforeAll(async () => {
    world = await ChaosWorld.open();
    await world.query(TAKEN_TABLE, world.ledgerUrl);
  });
  afterAll(async () => {
    await world.close();
    await server?.remove();
  }, 60_000);

  describeWith('rabbitmq-server', 'on RabbitMQ', () => {
    it('are dead letters, also when the server is killed while more and more of them are on their way', async () => {
      const { broker, address, kill, up, read } = (server = await killedRabbitMq());
      await broker.connect();
      const env = { CHAOS_BROKER: 'rabbitmq', CHAOS_ADDRESS: address };
      await world.start({ program: 'taker-worker', env });
      const confirmed: string[] = [];
      let living = true;
      // Confirms of other messages make the server write down what is acknowledged.
      const publishing = (async () => {
        for (let n = 0; living; n += 10) {
          const batch = Array.from({ length: 10 }, (_, k) => event(n + k, k === 0));
          const [oldest] = await told(broker, batch);
          if (oldest?.status === 'ok') confirmed.push(batch[0]?.eventId ?? '');
        }
      })();
      await until(() => confirmed.length >= GIVEN_UP, 30_000);
      living = false;
      await kill();
      await up();
      await publishing;
      const dead = new Set<string>();
      await read(DEAD, ({ headers }) => dead.add(headers['id'] ?? ''));
      const lost = () => confirmed.filter((id) => !dead.has(id));
      await until(() => lost().length === 0, 120_000).catch(() => expect(lost()).toEqual([]));
    }, 240_000);
  });
});
