import type { Call, Effect } from '../../chaos/support/ledger.js';
import type { JournalRow, SagaRecord } from '../../chaos/support/oracle.js';
import { SCENARIOS, SHAPES, type ShapeStep } from '../../chaos/support/scenarios.js';

type Kind = Effect['kind'];
type Entry = Partial<Pick<JournalRow, 'launch' | 'data'>>;

/** Writes down by hand what a saga did, as the databases would hold it: every line takes 10 ms. */
export class Tape {
  epoch = 1;
  at = 1_000;
  private readonly journal: JournalRow[] = [];
  private readonly effects: Effect[] = [];
  private readonly calls: Call[] = [];
  private readonly events: string[] = [];

  constructor(
    private readonly scenario: string,
    private readonly launch: readonly string[],
  ) {}

  called(step: string, kind: Kind = 'action'): this {
    this.calls.push({ ...this.doing(step, kind), attempt: 1 });
    return this;
  }

  effect(step: string, kind: Kind = 'action'): this {
    this.effects.push(this.doing(step, kind));
    return this;
  }

  entry(kind: string, step: string | null, { launch = [], data = null }: Entry = {}): this {
    const { epoch } = this;
    this.journal.push({
      ...{ seq: this.journal.length + 1, epoch, kind, step, launch, data },
      at: this.now(),
    });
    return this;
  }

  /** A step that works. */
  does(step: string, launch: readonly string[] = []): this {
    this.called(step).effect(step).entry('step_completed', step, { launch });
    if (this.shapeOf(step)?.publishes) this.events.push(`${step}.done`);
    return this;
  }

  /** A step that says that nothing happened. */
  refuses(step: string): this {
    const data = JSON.stringify({ code: 'SAGAZ_NO_EFFECT', outcome: 'failed' });
    return this.called(step).entry('step_failed', step, { data });
  }

  undoes(step: string): this {
    return this.called(step, 'undo').effect(step, 'undo').entry('undo_completed', step);
  }

  undoGivesUp(step: string): this {
    return this.called(step, 'undo').entry('undo_failed', step, { data: JSON.stringify({ code: 'ERROR' }) });
  }

  /** Its process died; some time later another one goes on. */
  takenOver(afterMs: number, launch: readonly string[] = []): this {
    this.at += afterMs;
    this.epoch += 1;
    return this.entry('resumed', null, { launch });
  }

  ends(status: string, error: object | null = null): SagaRecord {
    const scenario = SCENARIOS.find(({ name }) => name === this.scenario);
    if (!scenario) throw new Error(`no scenario ${this.scenario}`);
    const { launch, journal, effects, calls, events } = this;
    return { scenario, status, error: JSON.stringify(error), launch, journal, effects, calls, events };
  }

  private doing(step: string, kind: Kind): Effect {
    const key = kind === 'undo' ? `s:${step}:undo` : `s:${step}`;
    return { saga: 's', step, kind, key, epoch: this.epoch, at: this.now() };
  }

  private now(): number {
    this.at += 10;
    return this.at;
  }

  private shapeOf(step: string): ShapeStep | undefined {
    return Object.values<Readonly<Record<string, ShapeStep>>>(SHAPES).find((shape) =>
      SCENARIOS.some((it) => it.name === this.scenario && SHAPES[it.shape] === shape),
    )?.[step];
  }
}
