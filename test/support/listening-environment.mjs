import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { TestEnvironment } from 'jest-environment-node';
import { documentedEvents, seenFolder } from './seen-events.mjs';

/** What a test emits itself says nothing about the library. */
const OWN_EMISSION = /\.emit\('\w+\.[\w-]+'/;

/** Jest environment: notes which telemetry events the library emits while a test file runs. */
export default class ListeningEnvironment extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    this.testPath = context.testPath;
    this.seen = new Set();
    this.ends = [];
  }

  async setup() {
    await super.setup();
    if (!seenFolder() || OWN_EMISSION.test(readFileSync(this.testPath, 'utf8'))) return;
    for (const name of documentedEvents()) this.listen(name);
  }

  async teardown() {
    for (const end of this.ends) end();
    for (const name of this.seen) writeFileSync(path.join(seenFolder(), name), '');
    await super.teardown();
  }

  listen(name) {
    const channel = `nestjs-sagaz:${name}`;
    const note = () => void this.seen.add(name);
    subscribe(channel, note);
    this.ends.push(() => unsubscribe(channel, note));
  }
}
