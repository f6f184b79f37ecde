import type { Observed } from '../../lib/observability/observed.js';
import { Tracing } from '../../lib/runtime/tracing.js';

/** An application of which a test sets what is read. */
export class FakeApplication implements Observed {
  readonly destinations = ['default', 'audit'];
  running: Observed['running'] = new Map();
  outboxNumbers: Observed['outboxNumbers'];
  sagaNumbers: Observed['sagaNumbers'];
  stranded: Observed['stranded'];
  readonly tracing = new Tracing();
  checkStorage: Observed['checkStorage'] = () => Promise.resolve();
  pingDestination: Observed['pingDestination'] = () => Promise.resolve();

  constructor(readonly workerId: string) {}
}
