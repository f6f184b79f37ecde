import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster } from './support/cluster.js';
import { ChaosWorld } from './support/chaos-world.js';
import { random, startLoad } from './support/load.js';
import { Proxy } from './support/proxy.js';
import type { WorkerProcess } from './support/worker-process.js';
import { describeWith } from '../support/requirement.js';
import { until } from '../support/until.js';

const WORKERS = 3;
/** While the server is away a transactional step fails at once, again and again. */
const PATIENT = { CHAOS_ATTEMPTS: '100' };

describeWith('postgres', 'when PostgreSQL fails', () => {
  const closing: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  it('and restarts, three workers keep their sagas: nobody takes over anything', async () => {
    const cluster = await Cluster.create();
    closing.push(() => cluster.drop());
    const world = await ChaosWorld.open(cluster.url);
    closing.push(() => world.close());
    const workers: WorkerProcess[] = [];
    for (let n = 0; n < WORKERS; n++) workers.push(await world.start({ lease: '10s', env: PATIENT }));
    const stopLoad = startLoad(world, {
      chance: random(7),
      processes: () => workers,
      perSecond: 40,
      pace: 30,
    });
    for (let restarts = 0; restarts < 2; restarts++) {
      await sleep(1_500);
      await cluster.stop('SIGQUIT');
      await cluster.start();
    }
    await sleep(1_500);
    const started = await stopLoad();
    await world.allEnded();
    const counts = await Promise.all(workers.map((worker) => worker.counts()));
    const records = [...(await world.records()).values()].flat();
    process.stderr.write(`restart: ${started} sagas asked for, ${records.length} stored\n`);
    expect(records.length).toBeGreaterThan(100);
    expect(counts.map(({ takeovers, dead, fenced }) => [takeovers, dead, fenced])).toEqual(
      workers.map(() => [0, 0, 0]),
    );
    expect(await world.query('SELECT id FROM saga_worker WHERE dead')).toEqual([]);
    expect([...(await world.violations())]).toEqual([]);
  });

  it('and its standby is promoted under a living worker, what is stored there ends whole', async () => {
    const primary = await Cluster.create();
    closing.push(() => primary.drop());
    const standby = await primary.standby();
    closing.push(() => standby.drop());
    const proxy = await Proxy.to(primary.port);
    closing.push(() => proxy.close());
    const world = await ChaosWorld.open(proxy.url('postgres'));
    closing.push(() => world.close());
    const worker = await world.start({ lease: '10s' });
    const refused = world.spawn({ url: standby.url });
    await refused.ended();
    expect(refused.complaints).toContain('ReadOnlyDatabaseError');
    const stopLoad = startLoad(world, {
      chance: random(11),
      processes: () => [worker],
      perSecond: 60,
      pace: 20,
    });
    await sleep(2_000);
    await primary.stop('SIGQUIT');
    await standby.query('SELECT pg_promote()');
    proxy.target = standby.port;
    proxy.cut();
    await sleep(2_000);
    const started = await stopLoad();
    await world.allEnded();
    const records = [...(await world.records()).values()].flat();
    const { fenced } = await worker.counts();
    process.stderr.write(
      `failover: ${started} sagas asked for, ${records.length} survive, let go ${fenced} times\n`,
    );
    expect(records.length).toBeGreaterThan(50);
    expect(fenced).toBeGreaterThan(0);
    // What the standby had not received is forgotten: a saga may have turned back there and go forward once more.
    const found = [...(await world.violations())].map(([id, texts]) => [
      id,
      texts.filter((it) => !/^I[45]/.test(it)),
    ]);
    expect(found.filter(([, texts]) => (texts?.length ?? 0) > 0)).toEqual([]);
  });

  it('and its reply to COMMIT is lost, the step is completed once, also when the commit becomes visible only later', async () => {
    const cluster = await Cluster.create();
    closing.push(() => cluster.drop());
    const proxy = await Proxy.to(cluster.port);
    closing.push(() => proxy.close());
    const world = await ChaosWorld.open(cluster.url);
    closing.push(() => world.close());
    const worker = await world.start({ url: proxy.url('postgres'), lease: '10s' });
    const line = { name: 'line completes', shape: 'line', outcome: 'success', faults: {} } as const;
    const run = (id: string) => {
      world.execute(worker, id, line);
      return until(() => worker.said.some((it) => it.kind === 'ended' && it.id === id));
    };
    for (let n = 0; n < 10; n++) {
      proxy.dropCommitReplies(1);
      await run(`lost ${n}`);
    }
    expect(proxy.dropped).toBe(10);

    // Only transactions that ask for it wait for a standby, and there is none.
    await cluster.query(`ALTER DATABASE postgres SET synchronous_commit = local`);
    await cluster.query(`ALTER SYSTEM SET synchronous_standby_names = 'nobody'`);
    await cluster.query('SELECT pg_reload_conf()');
    await cluster.query(`CREATE FUNCTION wait_for_standby() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN PERFORM set_config('synchronous_commit', 'on', true); RETURN NULL; END $$`);
    await cluster.query('CREATE TRIGGER late AFTER INSERT ON effect EXECUTE FUNCTION wait_for_standby()');
    proxy.cut();
    proxy.dropCommitReplies(1);
    const late = run('late');
    const waiting = () => cluster.query(`SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'`);
    await until(async () => (await waiting()).length > 0);
    const { 'claim.sending': looks = 0 } = await worker.counts();
    await until(async () => ((await worker.counts())['claim.sending'] ?? 0) >= looks + 2);
    expect(worker.said.some((it) => it.kind === 'ended' && it.id === 'late')).toBe(false);
    await cluster.query(`ALTER SYSTEM RESET synchronous_standby_names`);
    await cluster.query('SELECT pg_reload_conf()');
    await late;
    expect([...(await world.violations())]).toEqual([]);
    expect(await world.query(`SELECT saga FROM effect GROUP BY saga HAVING count(*) <> 1`)).toEqual([]);
  });
});
