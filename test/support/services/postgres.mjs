import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { canEnter, findBinaries, moveIntoPlace, serverAccount } from './postgres-binaries.mjs';

const START_TIMEOUT_MS = 30_000;
const POLL_MS = 50;
const TEMPORARY_PREFIX = 'nestjs-sagaz-postgres-';
const OWNER_FILE = 'owner.pid';
const LOG_FILE = 'server.log';

const SETTINGS = [
  'listen_addresses=127.0.0.1',
  'unix_socket_directories=',
  'wal_level=logical',
  'max_connections=200',
];
const THROW_AWAY_SETTINGS = ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off'];

/** What PostgreSQL says while the server before it is still going away. */
const STILL_LOCKED = /postmaster\.pid|shared memory block/;

/**
 * Starts PostgreSQL, or joins the server that already runs on the folder.
 *
 * The server dies with its owner: the process that started it, or the first one that found it running after
 * its owner had died. Everyone else only uses it, and `stop()` does nothing for them.
 *
 * @param {object} [options]
 * @param {string} [options.dataDir] kept between runs; default: a temporary folder, removed at the end
 * @param {boolean} [options.durable] survive a crash of the machine (fsync); default: false
 * @returns {Promise<{ url: string, dataDir: string, owned: boolean, stop(): Promise<void> }>}
 */
export async function startPostgres({ dataDir, durable = false } = {}) {
  const account = serverAccount();
  const temporary = dataDir === undefined;
  if (temporary) removeOrphans();
  const folder = temporary ? temporaryFolder() : reachableFolder(path.resolve(dataDir), account);
  const binaries = await findBinaries(account);
  initialise(folder, binaries, account);
  const server = await joinOrLaunch({ folder, binaries, account, durable });
  if (server.owned) fs.writeFileSync(path.join(folder, OWNER_FILE), String(process.pid));
  const end = server.owned ? stopWithProcess(server.pid, temporary ? folder : undefined) : undefined;
  return { url: server.url, dataDir: folder, owned: server.owned, stop: async () => end?.() };
}

function temporaryFolder() {
  return path.join(fs.mkdtempSync(path.join(os.tmpdir(), TEMPORARY_PREFIX)), 'data');
}

/** The server's account must be able to enter every parent; where it cannot, the data lives below the temp folder. */
function reachableFolder(folder, account) {
  const parent = path.dirname(folder);
  fs.mkdirSync(parent, { recursive: true });
  if (canEnter(account, parent)) return folder;
  const key = createHash('sha256').update(folder).digest('hex').slice(0, 12);
  return path.join(os.tmpdir(), `nestjs-sagaz-data-${key}`);
}

/** initdb fills a draft that is renamed when complete, so a killed or concurrent start leaves no half-made cluster. */
function initialise(folder, { initdb }, account) {
  if (fs.existsSync(path.join(folder, 'PG_VERSION'))) return;
  if (account.uid !== undefined)
    fs.chmodSync(path.dirname(folder), fs.statSync(path.dirname(folder)).mode | 0o011);
  const draft = fs.mkdtempSync(`${folder}-`);
  if (account.uid !== undefined) fs.chownSync(draft, account.uid, account.gid);
  const flags = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'];
  try {
    execFileSync(initdb, ['-D', draft, ...flags], {
      ...surroundings(account, draft),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    moveIntoPlace(draft, folder);
  } catch (error) {
    fs.rmSync(draft, { recursive: true, force: true });
    throw error;
  }
}

function surroundings(account, cwd) {
  return { ...account, cwd, env: { ...process.env, LC_ALL: 'C' } };
}

async function joinOrLaunch(plan) {
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const server = (await runningServer(plan.folder)) ?? (await launch(plan, deadline));
    if (server) return server;
    if (Date.now() > deadline) throw startFailure(plan.folder);
    await delay(POLL_MS);
  }
}

/** The server that runs on this folder; undefined when there is none, or when it is starting or stopping. */
async function runningServer(folder) {
  const { pid, port } = readPostmaster(folder);
  if (!isAlive(pid)) return undefined;
  const url = urlOf(port);
  if (!(await serves(url, folder))) return undefined;
  const owner = Number(readIfPresent(path.join(folder, OWNER_FILE)));
  return { url, pid, owned: !isAlive(owner) };
}

/** Undefined when another server still holds the folder: the caller looks again. */
async function launch({ folder, binaries, account, durable }, deadline) {
  const port = await freePort();
  const log = fs.openSync(path.join(folder, LOG_FILE), 'w');
  const settings = [`port=${port}`, ...SETTINGS, ...(durable ? [] : THROW_AWAY_SETTINGS)];
  const child = spawn(binaries.postgres, ['-D', folder, ...settings.flatMap((setting) => ['-c', setting])], {
    ...surroundings(account, folder),
    stdio: ['ignore', log, log],
    // Its own process group: Ctrl-C must reach the application, not the database it still drains into.
    detached: true,
  });
  fs.closeSync(log);
  child.unref();
  let failure;
  child.once('error', (error) => (failure = error));
  while (Date.now() < deadline) {
    if (failure) throw failure;
    if (child.exitCode !== null || child.signalCode !== null) return retryable(folder);
    if (await isReady(folder, child.pid, port)) return { url: urlOf(port), pid: child.pid, owned: true };
    await delay(POLL_MS);
  }
  child.kill('SIGQUIT');
  throw startFailure(folder);
}

function retryable(folder) {
  if (STILL_LOCKED.test(readIfPresent(path.join(folder, LOG_FILE)))) return undefined;
  throw startFailure(folder);
}

function startFailure(folder) {
  const log = readIfPresent(path.join(folder, LOG_FILE)).trim();
  return new Error(`PostgreSQL did not start on ${folder}\n${log.slice(-2000)}`);
}

async function isReady(folder, pid, port) {
  return readPostmaster(folder).pid === pid && (await serves(urlOf(port), folder));
}

/** A left-over pid file may name a process and a port that belong to others by now, so the server is asked. */
async function serves(url, folder) {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query(`SELECT current_setting('data_directory') AS folder`);
    return fs.realpathSync(rows[0].folder) === fs.realpathSync(folder);
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

function readPostmaster(folder) {
  const lines = readIfPresent(path.join(folder, 'postmaster.pid')).split('\n');
  return { pid: Number(lines[0]), port: Number(lines[3]) };
}

/** Ends the server with this process, however the process ends, short of SIGKILL; returns the orderly stop. */
function stopWithProcess(pid, temporary) {
  const atExit = () => {
    kill(pid, temporary ? 'SIGQUIT' : 'SIGINT');
    if (temporary) removeTemporary(temporary);
  };
  const forget = onceProcessEnds(atExit);
  return async () => {
    forget();
    kill(pid, 'SIGINT');
    while (isAlive(pid)) await delay(POLL_MS);
    if (temporary) removeTemporary(temporary);
  };
}

/** An application's own signal handlers come first: we act on the signal that nobody else listens to any more. */
function onceProcessEnds(action) {
  const listeners = ['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => {
    const listener = () => {
      if (process.listenerCount(signal) > 1) return;
      forget();
      action();
      process.kill(process.pid, signal);
    };
    process.on(signal, listener);
    return [signal, listener];
  });
  const forget = () => {
    process.off('exit', action);
    for (const [signal, listener] of listeners) process.off(signal, listener);
  };
  process.once('exit', action);
  return forget;
}

/** Temporary servers whose owner was killed before it could stop them. */
function removeOrphans() {
  for (const name of fs.readdirSync(os.tmpdir())) {
    const folder = path.join(os.tmpdir(), name, 'data');
    if (
      !name.startsWith(TEMPORARY_PREFIX) ||
      isAlive(Number(readIfPresent(path.join(folder, OWNER_FILE)) || process.pid))
    )
      continue;
    kill(readPostmaster(folder).pid, 'SIGQUIT');
    removeTemporary(folder);
  }
}

function removeTemporary(folder) {
  try {
    fs.rmSync(path.dirname(folder), { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
  } catch {
    // Another user's, or still being written to: the operating system clears its temp folder.
  }
}

function isAlive(pid) {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function kill(pid, signal) {
  try {
    if (pid > 0) process.kill(pid, signal);
  } catch {
    // Already gone.
  }
}

function readIfPresent(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function urlOf(port) {
  return `postgres://postgres@127.0.0.1:${port}/postgres`;
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = net.createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
