import { documentedEvents, makeSeenFolder, takeSeenEvents } from './seen-events.mjs';

/**
 * Jest reporter: a run of all tests fails when none of them made the library emit an event that the reference lists. Some events
 * take a database, so a run without one is not asked.
 */
export default class EventsReporter {
  unseen = [];

  constructor({ testPathPatterns, testNamePattern, onlyChanged, onlyFailures, shard }) {
    this.isWhole = !(testPathPatterns.isSet() || testNamePattern || onlyChanged || onlyFailures || shard);
  }

  onRunStart() {
    makeSeenFolder();
  }

  onRunComplete() {
    const seen = takeSeenEvents();
    if (!this.isWhole || !process.env.DATABASE_URL) return;
    this.unseen = documentedEvents().filter((name) => !seen.has(name));
    if (this.unseen.length > 0) process.stderr.write(`${this.message}\n`);
  }

  /** Jest ends with code 1 for it, and does not print it. */
  getLastError() {
    return this.unseen.length > 0 ? new Error(this.message) : undefined;
  }

  get message() {
    return `No test made the library emit ${this.unseen.join(', ')}: each event of docs/reference/telemetry.md needs one that does.`;
  }
}
