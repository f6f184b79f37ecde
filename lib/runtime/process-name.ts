import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';

/** A name that no other process has, nor this one after its next start. */
export function processName(base = `${hostname()}-${process.pid}`): string {
  return `${base}-${randomBytes(4).toString('hex')}`;
}
