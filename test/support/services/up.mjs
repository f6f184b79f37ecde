// npm run services:up: starts what tests, benches and samples need and what is not there. Remembers what it has started.
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { findBrokers, listens } from './find-brokers.mjs';
import { startKafka } from './kafka.mjs';
import { COMPOSE_FILE, readStarted, writeStarted } from './started.mjs';

const run = promisify(execFile);
const LIMIT_MS = 60_000;

/** What each service is found by, and how it starts without containers. */
const SERVICES = {
  // Tests and samples have one of their own where there is none.
  postgres: { port: 5432, start: async () => undefined },
  rabbitmq: { port: 5672, start: startRabbitMq },
  redis: { port: 6379, start: startRedis },
  kafka: { port: 9092, start: startKafka },
};

const missing = [];
for (const [name, { port }] of Object.entries(SERVICES)) {
  if (await listens(port)) say(name, `is there on port ${port}`);
  else missing.push(name);
}
await (missing.length > 0 && (await hasEngine()) ? startContainers(missing) : startPrograms(missing));

async function startPrograms(names) {
  await findBrokers();
  for (const name of names) {
    const { port, start } = SERVICES[name];
    try {
      const started = await start();
      if (!started) {
        say(name, 'is not there: tests and samples start an embedded one');
        continue;
      }
      writeStarted({ ...readStarted(), [name]: started });
      await untilListens(port);
      say(name, `started on port ${port}`);
    } catch (error) {
      say(name, `cannot be started: ${error.message}`);
      process.exitCode = 1;
    }
  }
}

async function startContainers(names) {
  await run('docker', ['compose', '--file', COMPOSE_FILE, 'up', '--detach', '--wait', ...names]);
  const started = Object.fromEntries(names.map((name) => [name, { container: true }]));
  writeStarted({ ...readStarted(), ...started });
  for (const name of names) say(name, `started in a container, on port ${SERVICES[name].port}`);
}

async function hasEngine() {
  return run('docker', ['info'], { timeout: 10_000 }).then(
    () => true,
    () => false,
  );
}

async function startRabbitMq() {
  if (!process.env.RABBITMQ_SERVER) throw new Error('it is not installed (Debian package rabbitmq-server)');
  // The program on the path takes care of the user that it runs as.
  return launched('rabbitmq-server', []);
}

async function startRedis() {
  if (!process.env.REDIS_SERVER) throw new Error('it is not installed (Debian package redis-server)');
  const folder = path.resolve('.data', 'redis');
  fs.mkdirSync(folder, { recursive: true });
  return launched(process.env.REDIS_SERVER, ['--bind', '127.0.0.1', '--dir', folder, '--appendonly', 'yes']);
}

function launched(program, args) {
  const child = spawn(program, args, { detached: true, stdio: 'ignore' });
  child.unref();
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('spawn', () => resolve({ pid: child.pid }));
  });
}

async function untilListens(port) {
  const end = Date.now() + LIMIT_MS;
  while (!(await listens(port))) {
    if (Date.now() > end) throw new Error(`nothing listens on port ${port} after ${LIMIT_MS / 1_000} s`);
    await sleep(100);
  }
}

function say(name, text) {
  process.stdout.write(`${name.padEnd(9)} ${text}\n`);
}
