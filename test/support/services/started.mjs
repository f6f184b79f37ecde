import fs from 'node:fs';
import path from 'node:path';

/** For users, and for us where an engine answers. */
export const COMPOSE_FILE = path.join('sample', 'docker-compose.yml');
const FILE = path.join('.data', 'services.json');

/** What `services:up` has started, by name, so that nothing else is stopped. */
export function readStarted() {
  return fs.existsSync(FILE) ? JSON.parse(fs.readFileSync(FILE, 'utf8')) : {};
}

export function writeStarted(services) {
  fs.mkdirSync(path.dirname(FILE), { recursive: true });
  fs.writeFileSync(FILE, `${JSON.stringify(services, null, 2)}\n`);
}

export function forgetStarted() {
  fs.rmSync(FILE, { force: true });
}
