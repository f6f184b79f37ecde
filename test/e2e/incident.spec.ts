import { fork, type ChildProcess } from 'node:child_process';
import type pg from 'pg';
import type { SagaStatus } from '../../lib/index.js';
import { createDatabase, poolOf, type TestDatabase } from '../support/database.js';
import { describeWith } from '../support/requirement.js';
import { Runbook, type Channel } from '../support/runbook.js';
import { until } from '../support/until.js';

/** Processes have to die several times, each after a start of its own. */
const LIMIT_MS = 90_000;

/** A shop that is started again whenever it dies, and the switches that break its world. */
class Shop {
  private child: ChildProcess | undefined;
  private open = true;
  deaths = 0;
  port = 0;

  private constructor(
    private readonly database: TestDatabase,
    private readonly pool: pg.Pool,
  ) {}

  static async start(): Promise<Shop> {
    const database = await createDatabase();
    const pool = poolOf(database.url, 2);
    await pool.query(`
      CREATE TABLE broken (name text PRIMARY KEY);
      CREATE TABLE effect (saga_id uuid, what text, PRIMARY KEY (saga_id, what));
      CREATE TABLE delivered (event_id uuid, type text)`);
    const shop = new Shop(database, pool);
    shop.spawn();
    await shop.isUp();
    return shop;
  }

  get env() {
    const { url } = this.database;
    return { DATABASE_URL: url, ADMIN: `http://127.0.0.1:${this.port}/ops`, TOKEN: 'Bearer of-on-call' };
  }

  isUp(): Promise<void> {
    return until(() => this.port > 0);
  }

  private spawn(): void {
    const child = fork('test/e2e/programs/incident.mjs', {
      env: { ...process.env, DATABASE_URL: this.database.url },
    });
    this.child = child;
    child.on('message', ({ port }: { port: number }) => (this.port = port));
    child.on('exit', () => {
      this.port = 0;
      if (!this.open) return;
      this.deaths += 1;
      this.spawn();
    });
  }

  async break(...names: string[]): Promise<void> {
    await this.pool.query('INSERT INTO broken SELECT unnest($1::text[])', [names]);
  }

  async mend(name: string): Promise<void> {
    await this.pool.query('DELETE FROM broken WHERE name = $1', [name]);
  }

  /** @returns its id, whether the process that started it is still there or not */
  async order(name: string, input: object, saga = 'order'): Promise<string> {
    await this.isUp();
    this.child?.send({ saga, input, tags: { name } });
    let id: string | undefined;
    await until(async () => {
      const { rows } = await this.pool.query<{ id: string }>(
        `SELECT id FROM saga_instance WHERE tags->>'name' = $1`,
        [name],
      );
      id = rows[0]?.id;
      return id !== undefined;
    });
    return id ?? '';
  }

  /** Done by hand, outside of the library. */
  async byHand(sagaId: string, what: string): Promise<void> {
    await this.pool.query('INSERT INTO effect VALUES ($1, $2)', [sagaId, what]);
  }

  async becomes(sagaId: string, status: SagaStatus): Promise<void> {
    await until(async () => {
      const { rows } = await this.pool.query<{ status: string }>(
        'SELECT status FROM saga_instance WHERE id = $1',
        [sagaId],
      );
      return rows[0]?.status === status;
    }, LIMIT_MS);
  }

  async effects(sagaId: string): Promise<string> {
    const { rows } = await this.pool.query<{ what: string }>(
      'SELECT what FROM effect WHERE saga_id = $1 ORDER BY what',
      [sagaId],
    );
    return rows.map(({ what }) => what).join(' ');
  }

  async delivered(): Promise<Record<string, number>> {
    const { rows } = await this.pool.query<{ type: string; n: number }>(
      'SELECT type, count(DISTINCT event_id)::int AS n FROM delivered GROUP BY type',
    );
    return Object.fromEntries(rows.map(({ type, n }) => [type, n]));
  }

  async counts(): Promise<{ pending: number; dead: number; stuck: number; audit: number }> {
    const { rows } = await this.pool.query<{ pending: number; dead: number; stuck: number; audit: number }>(
      `SELECT (SELECT count(*)::int FROM saga_outbox) AS pending, (SELECT count(*)::int FROM saga_outbox_dead_letter) AS dead,
        (SELECT count(*)::int FROM saga_instance WHERE status NOT IN ('completed', 'compensated')) AS stuck,
        (SELECT count(*)::int FROM saga_audit) AS audit`,
    );
    return rows[0] ?? { pending: -1, dead: -1, stuck: -1, audit: -1 };
  }

  async audit() {
    const { rows } = await this.pool.query<{ action: string; target: string; actor: string; reason: string }>(
      'SELECT action, target, actor, reason FROM saga_audit ORDER BY id',
    );
    return rows;
  }

  async end(): Promise<void> {
    this.open = false;
    this.child?.kill('SIGKILL');
    await this.pool.end();
    await this.database.drop();
  }
}

describeWith('postgres', 'an incident', () => {
  let shop: Shop;
  beforeEach(async () => {
    shop = await Shop.start();
  });
  afterEach(() => shop.end());

  it.each<Channel>(['command line', 'over HTTP'])(
    'broker down, poison event, undo that fails, process killed: the runbook mends it all, by its words (%s)',
    async (channel) => {
      const runbook = await Runbook.read();
      const follow = (title: string, SAGA = '') => runbook.follow(title, channel, { ...shop.env, SAGA });

      await shop.break('broker', 'bank', 'queue', 'printer', 'memory');
      const [refused, byHand] = [
        await shop.order('a', { kind: 'far' }),
        await shop.order('b', { kind: 'far' }),
      ];
      const labelled: string[] = [];
      for (const name of ['c', 'd', 'e']) labelled.push(await shop.order(name, { kind: 'labelled' }));
      const [again = '', without = '', back = ''] = labelled;
      const poison = await shop.order('f', { event: 'order.poison' });
      const obsolete = await shop.order('g', { event: 'order.obsolete' });
      const waiting = await shop.order('h', {}, 'pickup');
      for (const id of [refused, byHand]) await shop.becomes(id, 'failed');
      for (const id of labelled) await shop.becomes(id, 'parked');
      for (const id of [poison, obsolete]) await shop.becomes(id, 'completed');
      await shop.becomes(waiting, 'waiting');
      const killer = await shop.order('i', { kind: 'large' });
      await shop.becomes(killer, 'parked');
      await shop.isUp();
      expect(shop.deaths).toBeGreaterThanOrEqual(3);

      const around = await follow('Look around');
      for (const id of [refused, byHand, ...labelled, killer]) expect(around).toContain(id);
      expect(around).not.toContain(waiting);

      await shop.mend('broker');
      await follow('A destination is down');
      await until(async () => (await shop.counts()).pending === 0);
      expect(await shop.counts()).toMatchObject({ dead: 2, audit: 0 });
      expect(await shop.delivered()).toEqual({ 'order.shipped': 3 });

      await shop.mend('queue');
      expect(await follow('An event is a dead letter')).toContain('order.poison');
      await until(async () => (await shop.delivered())['order.poison'] === 1);

      await shop.byHand(byHand, 'refund');
      await follow('An undo is done by hand', byHand);
      await shop.becomes(byHand, 'compensated');
      await shop.mend('bank');
      expect(await follow('A saga has failed', refused)).toContain('the bank is closed');
      await shop.becomes(refused, 'compensated');

      await follow('A step is left out', without);
      await shop.becomes(without, 'completed');
      await follow('A saga is turned back behind its point of no return', back);
      await shop.becomes(back, 'compensated');
      await shop.mend('printer');
      await follow('A saga is parked because a step failed', again);
      await shop.becomes(again, 'completed');

      const deaths = shop.deaths;
      await shop.mend('memory');
      await follow('A saga is parked because its processes died', killer);
      await shop.becomes(killer, 'completed');
      await follow('A saga is to be stopped', waiting);
      await shop.becomes(waiting, 'compensated');
      expect(shop.deaths).toBe(deaths);

      const effects = [refused, byHand, again, without, back, poison, killer, waiting].map((id) =>
        shop.effects(id),
      );
      expect(await Promise.all(effects)).toEqual([
        'charge refund',
        'charge refund',
        'charge label ship',
        'charge ship',
        'charge refund ship',
        'charge label ship',
        'charge label ship',
        'hold release',
      ]);
      expect(await shop.delivered()).toEqual({ 'order.shipped': 4, 'order.poison': 1 });
      expect(await shop.counts()).toEqual({ pending: 0, dead: 0, stuck: 0, audit: 9 });

      const afterwards = await follow('Afterwards');
      const audit = await shop.audit();
      expect(audit.map(({ action, target }) => [action, target])).toEqual([
        ['requeue', '{"type":"order.poison"}'],
        ['discard', '{"type":"order.obsolete"}'],
        ['resolve', byHand],
        ['retry', refused],
        ['skip', without],
        ['compensate', back],
        ['retry', again],
        ['resume', killer],
        ['cancel', waiting],
      ]);
      for (const { reason, actor } of audit) {
        expect([afterwards.includes(reason), afterwards.includes(actor)]).toEqual([true, true]);
        expect(actor).toMatch(channel === 'over HTTP' ? /^on-call$/ : /.@./);
      }
      expect([...runbook.used].sort()).toEqual([...runbook.titles].sort());
    },
    240_000,
  );
});
