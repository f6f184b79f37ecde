import { ClassicSaga } from 'nestjs-sagaz';
import { openLibrary, type Library } from '../library.js';

interface Input {
  /** The process in which the second step hangs. */
  readonly pid: number;
}

/** The library in a process that is to be killed, or to take over. */
export class DurableWorker {
  private readonly saga = new ClassicSaga<Input>('takeover')
    .step('first', { readOnly: true, action: () => 'done' })
    .step('second', {
      readOnly: true,
      retry: 100,
      timeout: '1h',
      action: ({ input, sagaId }) => this.second(input, sagaId),
    })
    .build();

  private constructor(private readonly library: Library) {}

  static async open(url: string): Promise<DurableWorker> {
    const library = await openLibrary(url);
    const worker = new DurableWorker(library);
    library.orchestrator.register(worker.saga);
    await library.begin();
    return worker;
  }

  async start(): Promise<void> {
    await this.library.orchestrator.start(this.saga, { pid: process.pid });
  }

  close(): Promise<void> {
    return this.library.close();
  }

  private async second({ pid }: Input, sagaId: string): Promise<void> {
    const hangs = pid === process.pid;
    process.send?.({ kind: hangs ? 'hangs' : 'resumed', sagaId, at: Date.now() });
    if (hangs) await new Promise(() => undefined);
  }
}
