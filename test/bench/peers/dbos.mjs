import { DBOS } from '@dbos-inc/dbos-sdk';

// A process that runs DBOS workflows of three steps that do nothing: it is sent { atOnce, ms } and answers { rate }.
const [url, pool] = process.argv.slice(2);
DBOS.setConfig({
  name: 'bench',
  systemDatabaseUrl: url,
  systemDatabasePoolSize: Number(pool),
  logLevel: 'error',
});
const step = async () => undefined;
const workflow = DBOS.registerWorkflow(
  async () => {
    for (const name of ['reserve', 'charge', 'ship']) await DBOS.runStep(step, { name });
  },
  { name: 'order' },
);

process.on('message', async ({ atOnce, ms }) => {
  const start = performance.now();
  let done = 0;
  const lane = async () => {
    do {
      await workflow({ orderId: 'A-1', amount: 12 });
      done++;
    } while (performance.now() < start + ms);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  process.send({ rate: (done * 1_000) / (performance.now() - start) });
});
process.on('disconnect', async () => {
  await DBOS.shutdown();
  process.exit();
});
await DBOS.launch();
process.send({ ready: true });
