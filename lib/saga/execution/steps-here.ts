import type { JournalEntry, ReleaseRecord } from '../state/journal.js';
import { running } from './decisions.js';
import { stateOf, type SagaState } from './saga-state.js';

/** What this process has done with the steps of one saga. */
export class StepsHere {
  private readonly launched = new Set<string>();
  /** Those of them whose handler was called. */
  private readonly begun = new Set<string>();
  /** Handlers that were called and have not settled. */
  unsettled = 0;

  /** Whether any step was launched. */
  get any(): boolean {
    return this.launched.size > 0;
  }

  launch(step: string): void {
    this.launched.add(step);
  }

  called(step: string): void {
    this.begun.add(step);
    this.unsettled += 1;
  }

  settled(): void {
    this.unsettled -= 1;
  }

  /** Says which launched steps were no attempt, so that a shutdown never uses up the last one. */
  releaseEntries(state: SagaState, epoch: number): JournalEntry[] {
    const launched = running(state).filter((name) => this.launched.has(name));
    if (launched.length === 0) return [];
    const cut = launched.filter((name) => this.begun.has(name) && stateOf(state, name).pause === undefined);
    const record: ReleaseRecord = { unrun: launched.filter((name) => !this.begun.has(name)), cut };
    const fact = { kind: 'released', step: null, attempt: 0, data: JSON.stringify(record) } as const;
    return [{ ...fact, seq: state.seq + 1, epoch, launch: [] }];
  }
}
