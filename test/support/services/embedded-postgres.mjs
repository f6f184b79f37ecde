// For `node --import`: gives an application that was told of no database one of its own.
import path from 'node:path';
import { isMainThread } from 'node:worker_threads';

if (isMainThread && !process.env.DATABASE_URL) {
  const { startPostgres } = await import('./postgres.mjs');
  const { url, dataDir } = await startPostgres({ dataDir: path.join('.data', 'postgres'), durable: true });
  process.env.DATABASE_URL = url;
  const below = path.relative(process.cwd(), dataDir);
  const place = below.startsWith('..') ? dataDir : below;
  const line = `DATABASE_URL is not set: using embedded PostgreSQL at ${url}, data in ${place}`;
  process.stderr.write(process.stderr.isTTY ? `\u001b[2m${line}\u001b[22m\n` : `${line}\n`);
}
