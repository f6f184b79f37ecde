import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = process.cwd();

export interface PackedPackage {
  readonly tarball: string;
  /** Program of the command line, from the root of the package. */
  readonly bin: string;
  /** Folder with what is in the tarball. */
  readonly contents: string;
  /** A folder with the package installed in its node_modules, beside the given dependencies. @param without some of them */
  install(dependencies: string, without?: readonly string[]): Promise<string>;
  remove(): Promise<void>;
}

/** The package as npm would publish it, to be used as a stranger does. */
export async function packPackage(): Promise<PackedPackage> {
  const folder = await mkdtemp(path.join(tmpdir(), 'nestjs-sagaz-packed-'));
  const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: root });
  const tarball = path.join(folder, stdout.trim());
  const contents = path.join(folder, 'package');
  await run('tar', ['-xzf', tarball, '-C', folder]);
  let count = 0;
  return {
    tarball,
    contents,
    bin: await binOf(contents),
    async install(dependencies, without = []) {
      const project = path.join(folder, `project-${count++}`);
      await linkAll(dependencies, path.join(project, 'node_modules'));
      for (const name of without) await rm(path.join(project, 'node_modules', name), { force: true });
      await cp(contents, path.join(project, 'node_modules/nestjs-sagaz'), {
        recursive: true,
      });
      await cp(path.join(root, 'test/package/fixtures'), project, { recursive: true });
      return project;
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Both names are the same program, which can be run as it is. */
async function binOf(contents: string): Promise<string> {
  const { bin } = JSON.parse(await readFile(path.join(contents, 'package.json'), 'utf8')) as {
    readonly bin: Readonly<Record<string, string>>;
  };
  const [program, ...others] = new Set(Object.values(bin));
  if (Object.keys(bin).join() !== 'nestjs-sagaz,sagaz' || program === undefined || others.length > 0)
    throw new Error(`bin is ${JSON.stringify(bin)}`);
  const first = (await readFile(path.join(contents, program), 'utf8')).split('\n')[0];
  if (first !== '#!/usr/bin/env node') throw new Error(`${program} begins with ${first}`);
  return program;
}

/** Installs what an application on Nest 11 has, once; later runs find it. */
export async function installNest11(): Promise<string> {
  const cache = path.join(root, 'node_modules/.cache/nestjs-sagaz-nest-11');
  await mkdir(cache, { recursive: true });
  for (const file of ['package.json', 'package-lock.json']) {
    await cp(path.join(root, 'test/package/nest-11', file), path.join(cache, file));
  }
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline'], { cwd: cache });
  return path.join(cache, 'node_modules');
}

async function linkAll(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const name of await readdir(from)) {
    if (name.startsWith('.') || name === 'nestjs-sagaz') continue;
    await symlink(path.join(from, name), path.join(to, name));
  }
}
