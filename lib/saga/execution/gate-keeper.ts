import type { JournalEntry } from '../state/journal.js';
import type { KnownSignals, SagaStorage, StoredSignal } from '../saga-storage.js';
import type { Fact } from './fact.js';
import type { Gates } from './gates.js';
import type { SagaJournal } from './saga-journal.js';

/** What waits of a saga ask of its runner, and tell it. */
export interface GateOwner {
  readonly storage: SagaStorage;
  /** Nothing new may start here: from the drain on, and when the saga is let go of. */
  readonly halting: boolean;
  /** Perhaps nothing of the saga needs this process any more. */
  paused(): void;
  lostTrack(error: unknown): void;
}

/** Lets the steps of one saga begin that have waited for their time or for a signal, and fails those that waited too long. */
export class GateKeeper {
  /** Before its saga's run nothing is opened: a suspect waits for its turn. */
  private begun = false;
  private closed = false;

  constructor(
    private readonly gates: Gates,
    private readonly journal: SagaJournal,
    private readonly owner: GateOwner,
  ) {}

  /** How many signals are known, when a step waits for one. */
  get known(): KnownSignals | undefined {
    return this.gates.awaits(this.journal.state) ? this.gates.known : undefined;
  }

  /** The same, while the saga is not let go of. */
  get awaited(): KnownSignals | undefined {
    return this.owner.halting || !this.begun ? undefined : this.known;
  }

  /** Whether a step has begun to wait for a signal that may be there already. */
  get mustLook(): boolean {
    return this.gates.mustLook(this.journal.state);
  }

  /** Milliseconds until something is due; undefined when nothing waits, Infinity when only a signal can end the waits. */
  get restMs(): number | undefined {
    return this.gates.restMs(this.journal.state);
  }

  /** What may start of what the last owner left waiting. */
  get openings(): readonly Fact[] {
    return this.gates.due(this.journal.state).openings;
  }

  /** Entries that are durable. */
  note(entries: readonly JournalEntry[]): void {
    this.gates.note(entries);
  }

  signalled(signals: readonly StoredSignal[]): void {
    this.gates.add(signals);
    if (this.begun) this.open();
  }

  /** Starts what waits for nothing any more, and looks for the signals of what has begun to wait. */
  open(): void {
    this.begun = true;
    this.journal
      .alone(() => this.pass())
      .catch((error: unknown) => {
        this.owner.lostTrack(error);
      });
  }

  close(): void {
    this.closed = true;
    this.gates.disarm();
  }

  private async pass(): Promise<void> {
    const { gates, journal } = this;
    for (;;) {
      if (this.closed || this.owner.halting || journal.closedBy || journal.hasEnded) return;
      if (gates.mustLook(journal.state)) await this.look();
      const { openings, timeout } = gates.due(journal.state);
      if (openings.length > 0) await journal.write(openings);
      else if (!timeout) break;
      else if (!(await journal.writeUnlessSignalled(timeout, gates.known.seq))) await this.look();
    }
    gates.arm(journal.state, () => this.open());
    this.owner.paused();
  }

  private async look(): Promise<void> {
    this.gates.add(await this.owner.storage.signals([this.gates.known]));
    this.gates.noteLooked(this.journal.state);
  }
}
