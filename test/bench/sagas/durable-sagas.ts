import { ClassicSaga } from 'nestjs-sagaz';
import { openLibrary, type Library } from '../library.js';
import { rateOf, type Load } from '../load.js';
import { observe } from './observers.js';

const INPUT = { orderId: 'A-1', amount: 12 };

/** Sagas of three steps that do nothing, on PostgreSQL, in this process. */
export class DurableSagas {
  /** Milliseconds between the end of a step's handler and the beginning of the next one's, while somebody asks. */
  gaps: number[] | undefined;
  private lastAt: number | undefined;
  private readonly saga = new ClassicSaga<typeof INPUT>('order')
    .step('reserve', { readOnly: true, action: () => this.tick() })
    .step('charge', { readOnly: true, action: () => this.tick() })
    .step('ship', { readOnly: true, action: () => this.tick() })
    .build();

  private constructor(private readonly library: Library) {}

  static async open(url: string, options: { readonly groupCommit?: boolean } = {}): Promise<DurableSagas> {
    const library = await openLibrary(url, options);
    const sagas = new DurableSagas(library);
    library.orchestrator.register(sagas.saga);
    await library.begin();
    return sagas;
  }

  rate(load: Load): Promise<number> {
    return rateOf(() => this.execute(), load);
  }

  /** While metrics, logs and traces are on. */
  async observedRate(load: Load): Promise<number> {
    const end = await observe(this.library.runtime);
    try {
      return await this.rate(load);
    } finally {
      await end();
    }
  }

  async execute(): Promise<void> {
    this.lastAt = undefined;
    const { status, sagaId } = await this.library.orchestrator.execute(this.saga, INPUT);
    if (status !== 'completed') throw new Error(`saga ${sagaId} ended ${status}`);
  }

  close(): Promise<void> {
    return this.library.close();
  }

  private tick(): void {
    if (!this.gaps) return;
    const now = performance.now();
    if (this.lastAt !== undefined) this.gaps.push(now - this.lastAt);
    this.lastAt = now;
  }
}
