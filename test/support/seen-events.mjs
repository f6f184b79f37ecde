import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Where the workers of this run note each event that they see, as an empty file of its name. */
const VARIABLE = 'SAGAZ_SEEN_EVENTS';

/** To be called before there are workers, which inherit it. */
export function makeSeenFolder() {
  process.env[VARIABLE] = mkdtempSync(path.join(tmpdir(), 'sagaz-seen-events-'));
}

/** Undefined outside of a run that notes events. */
export function seenFolder() {
  return process.env[VARIABLE];
}

/** The names that were seen; the folder is gone afterwards. */
export function takeSeenEvents() {
  const names = readdirSync(seenFolder());
  rmSync(seenFolder(), { recursive: true });
  delete process.env[VARIABLE];
  return new Set(names);
}

/** Names of the page that a test compares with the code, both ways. */
export function documentedEvents() {
  const page = readFileSync('docs/reference/telemetry.md', 'utf8');
  return [...page.matchAll(/^\| `([\w-]+\.[\w-]+)` *\|/gm)].map(([, name]) => name);
}
