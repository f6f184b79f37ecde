import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { moveIntoPlace } from './postgres-binaries.mjs';

const run = promisify(execFile);
const POM = fileURLToPath(new URL('kafka-jars.xml', import.meta.url));
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;

/**
 * The jars of the version in kafka-jars.xml, in a folder that is kept for later runs.
 * @throws Error when Maven is not there or cannot bring them
 */
export async function kafkaJars() {
  const [, version] = /<version>([^<]+)<\/version>/.exec(fs.readFileSync(POM, 'utf8'));
  const cache = process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache');
  const place = path.join(cache, 'nestjs-sagaz', `kafka-${version}`);
  if (fs.existsSync(place)) return place;
  fs.mkdirSync(path.dirname(place), { recursive: true });
  const draft = fs.mkdtempSync(`${place}-`);
  const copy = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${draft}`];
  try {
    await run('mvn', ['--batch-mode', '--quiet', '--file', POM, ...copy], { maxBuffer: 2 ** 26 });
  } catch (error) {
    fs.rmSync(draft, { recursive: true, force: true });
    throw new Error(`Maven cannot bring Kafka: ${error.stderr || error.stdout || error.message}`);
  }
  moveIntoPlace(draft, place);
  return place;
}

/**
 * Starts one node of Apache Kafka, broker and controller, on 127.0.0.1 with data of its own in a temporary folder.
 * @param {object} [options]
 * @param {number} [options.port] of the broker; the controller takes the next one. Default 9092
 * @param {Record<string, string>} [options.settings] further lines of server.properties
 * @returns {Promise<{ pid: number, folder: string }>}
 */
export async function startKafka({ port = 9092, settings = {} } = {}) {
  const jars = await kafkaJars();
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'nestjs-sagaz-kafka-'));
  const file = path.join(folder, 'server.properties');
  const lines = { ...propertiesOf(port, folder), ...settings };
  fs.writeFileSync(
    file,
    Object.entries(lines)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  );
  const classpath = ['-cp', path.join(jars, '*')];
  const id = randomBytes(16).toString('base64url');
  await run('java', [
    ...classpath,
    'kafka.tools.StorageTool',
    'format',
    '-t',
    id,
    '-c',
    file,
    '--standalone',
  ]);
  return launchKafka(folder);
}

/** Starts the node of this folder, also after it was killed. */
export async function launchKafka(folder) {
  const jars = await kafkaJars();
  const log = path.join(folder, 'output.log');
  const output = fs.openSync(log, 'a');
  const heap = ['-Xms256m', '-Xmx512m', '-XX:+UseSerialGC'];
  const child = spawn('java', [...heap, '-cp', path.join(jars, '*'), 'kafka.Kafka', 'server.properties'], {
    ...{ cwd: folder, detached: true, stdio: ['ignore', output, output] },
  });
  fs.closeSync(output);
  child.unref();
  const [, port] = /^listeners=PLAINTEXT:\/\/127\.0\.0\.1:(\d+)/m.exec(
    fs.readFileSync(path.join(folder, 'server.properties'), 'utf8'),
  );
  const end = Date.now() + START_TIMEOUT_MS;
  while (!(await answers(Number(port)))) {
    if (child.exitCode !== null || Date.now() > end) {
      stopProcess(child.pid, 'SIGKILL');
      throw new Error(`Kafka did not start:\n${fs.readFileSync(log, 'utf8').slice(-4_000)}`);
    }
    await sleep(100);
  }
  return { pid: child.pid, folder };
}

/** Ends a node, in good form if it does so soon, and removes its data. */
export async function stopKafka({ pid, folder }) {
  stopProcess(pid, 'SIGTERM');
  const end = Date.now() + STOP_TIMEOUT_MS;
  while (isAlive(pid)) {
    if (Date.now() > end) stopProcess(pid, 'SIGKILL');
    await sleep(50);
  }
  fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

function propertiesOf(port, folder) {
  return {
    'process.roles': 'broker,controller',
    'node.id': '1',
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${port + 1}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map':
      'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT',
    'controller.quorum.bootstrap.servers': `127.0.0.1:${port + 1}`,
    'log.dirs': path.join(folder, 'data'),
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
    'offsets.topic.num.partitions': '1',
  };
}

/** Whether a broker answers as one: the port is open before it does. */
async function answers(port) {
  const { Kafka, logLevel } = await import('kafkajs');
  const retry = { retries: 0 };
  const admin = new Kafka({ brokers: [`127.0.0.1:${port}`], logLevel: logLevel.NOTHING, retry }).admin();
  try {
    await admin.connect();
    return (await admin.describeCluster()).brokers.length > 0;
  } catch {
    return false;
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

function stopProcess(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended.
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
