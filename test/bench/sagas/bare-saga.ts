import { randomUUID } from 'node:crypto';

interface Entry {
  readonly sagaId: string;
  readonly seq: number;
  readonly kind: string;
  readonly step: string;
  readonly attempt: number;
  readonly data: string | null;
}

interface Context {
  readonly sagaId: string;
  readonly step: string;
  readonly attempt: number;
  readonly input: unknown;
  readonly signal: AbortSignal;
}

const STEPS = ['reserve', 'charge', 'ship'];
const STEP_TIMEOUT_MS = 30_000;

/**
 * What a saga in memory cannot do without, written by hand: an id, a copy of the input for the saga and for every
 * step, a context with a signal, a time-out, and a journal that stays.
 */
export class BareSagas {
  private readonly journal: Entry[] = [];

  async execute(input: unknown): Promise<void> {
    const sagaId = randomUUID();
    const stored = JSON.stringify(input);
    let seq = 0;
    for (const step of STEPS) {
      await this.attempt({ sagaId, step, attempt: 1, input: JSON.parse(stored) as unknown });
      this.journal.push({ sagaId, seq: ++seq, kind: 'step_completed', step, attempt: 1, data: null });
    }
  }

  private async attempt(given: Omit<Context, 'signal'>): Promise<void> {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), STEP_TIMEOUT_MS);
    try {
      await noOp({ ...given, signal: controller.signal });
    } finally {
      clearTimeout(timer);
    }
  }
}

async function noOp(_context: Context): Promise<void> {}
