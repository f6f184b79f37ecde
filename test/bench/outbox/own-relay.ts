import { InMemoryBroker, type PublishOutcome, type PublishItem } from 'nestjs-sagaz';
import { openRelay } from '../library.js';

const OK: PublishOutcome = { status: 'ok' };

/** Takes everything at once, and counts. */
export class NoOpBroker extends InMemoryBroker {
  private count = 0;
  private reached: (() => void) | undefined;

  /** Resolves when so many events were published. */
  published(events: number): Promise<void> {
    return new Promise((resolve) => {
      this.reached = () => {
        if (this.count >= events) resolve();
      };
      this.reached();
    });
  }

  override publish(batch: readonly PublishItem[]): Promise<readonly PublishOutcome[]> {
    this.count += batch.length;
    this.reached?.();
    return Promise.resolve(batch.map(() => OK));
  }
}

/** The library's relay with the options of production, from its start until nothing is left. */
export async function drainWithLibrary(
  url: string,
  events: number,
  left: () => Promise<boolean>,
): Promise<() => Promise<void>> {
  const broker = new NoOpBroker();
  const relay = await openRelay(url, broker);
  await broker.published(events);
  while (await left());
  return () => relay.close();
}
