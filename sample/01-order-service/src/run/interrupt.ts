const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;
type SignalName = keyof typeof EXIT_CODES;

/** The user's wish to stop, by Ctrl-C or SIGTERM. A second one ends the process at once. */
export class Interrupt {
  /** Resolves when the wish comes. */
  readonly wish: Promise<undefined>;
  private readonly controller = new AbortController();
  private received: SignalName = 'SIGINT';

  constructor() {
    const { signal } = this.controller;
    this.wish = new Promise((resolve) => signal.addEventListener('abort', () => resolve(undefined)));
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => this.receive(name));
  }

  /** Aborted when the wish comes. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** By convention 128 + the number of the signal. */
  get exitCode(): number {
    return EXIT_CODES[this.received];
  }

  private receive(name: SignalName): void {
    if (this.signal.aborted) return;
    this.received = name;
    this.controller.abort();
  }
}
