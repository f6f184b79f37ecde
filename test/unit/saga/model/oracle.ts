import { GRACE_MS, TIMEOUT_MS, UNDO_ATTEMPTS, undoWaits, type Fault, type StepPlan } from './plan.js';
import type { Event, Outcome } from './simulation.js';

type What = Event['what'];
const SUCCESS: Fault = { kind: 'ok', ms: 1, effect: true };
const TURNED_BY_ITSELF = ['SAGAZ_CANCELLED', 'SAGAZ_SAGA_TIMEOUT'];

/** What a saga promises, checked against what its handlers did; knows nothing of how the engine decides. */
export class Oracle {
  private readonly byName: ReadonlyMap<string, StepPlan>;

  constructor(private readonly outcome: Outcome) {
    this.byName = new Map(outcome.plan.steps.map((step) => [step.name, step]));
  }

  faults(): string[] {
    return [
      ...this.statusFaults(),
      ...this.completedFaults(),
      ...this.undoneFaults(),
      ...this.beginFaults(),
      ...this.undoOrderFaults(),
      ...this.pivotFaults(),
      ...this.cancelFaults(),
      ...this.failureFaults(),
      ...this.unneededUndoFaults(),
    ];
  }

  private get status() {
    return this.outcome.result.status;
  }

  private places(what: What, step: string): number[] {
    return this.outcome.events.flatMap((it, place) => (it.what === what && it.step === step ? [place] : []));
  }

  private first(what: What, step: string): number {
    return this.places(what, step)[0] ?? Infinity;
  }

  private last(what: What, step: string): number {
    return this.places(what, step).at(-1) ?? -1;
  }

  private get firstUndo(): number {
    const place = this.outcome.events.findIndex(({ what }) => what === 'undoes');
    return place < 0 ? Infinity : place;
  }

  /** The final status, as far as the plan alone tells it. */
  private statusFaults(): string[] {
    const expected = this.expected();
    return expected.includes(this.status) ? [] : [`it is ${this.status}, not ${expected.join(' or ')}`];
  }

  private expected(): readonly string[] {
    const { steps, timeout, cancelAt } = this.outcome.plan;
    if (timeout !== undefined || cancelAt !== undefined)
      return ['completed', 'compensated', 'failed', 'parked'];
    const at = steps.findIndex(({ pivot }) => pivot);
    const before = steps.filter(({ pivot }, index) => !pivot && (at < 0 || !this.follows(index, at)));
    const fates = before.map((step) => this.fate(step));
    const undone = ['compensated', 'failed'];
    if (fates.includes('fails')) return undone;
    const unsure = fates.includes('unsure') ? undone : [];
    const pivot = steps[at];
    if (!pivot) return ['completed', ...unsure];
    const turn = this.fate(pivot);
    if (turn === 'fails') return undone;
    if (turn === 'parks') return ['parked', ...unsure];
    const rest = steps
      .filter((_, index) => index !== at && this.follows(index, at))
      .map((it) => this.fate(it, true));
    if (rest.includes('parks')) return ['parked', ...unsure];
    const maybe = [...rest, turn].includes('unsure') ? ['parked'] : [];
    return ['completed', ...unsure, ...maybe];
  }

  private follows(index: number, at: number): boolean {
    return index > at;
  }

  /** What becomes of a step that nobody cuts short. */
  private fate(step: StepPlan, after = false): 'succeeds' | 'fails' | 'parks' | 'unsure' {
    const { script, attempts, transactional, pivot } = step;
    let unknown = false;
    let late = false;
    const end = (): 'fails' | 'parks' | 'unsure' => {
      if (late) return 'unsure';
      return after || (pivot && unknown) ? 'parks' : 'fails';
    };
    for (let call = 1; ; call++) {
      const { kind } = script[call - 1] ?? SUCCESS;
      if (kind === 'ok') return 'succeeds';
      if (!transactional) unknown ||= kind !== 'noEffect';
      if (!transactional) late ||= kind === 'lateOk';
      const unlimited = after || (pivot && unknown && attempts > 1);
      if (kind === 'notAgain' || (call >= attempts && !unlimited)) return end();
    }
  }

  /** I2 */
  private completedFaults(): string[] {
    const { plan, result } = this.outcome;
    if (this.status !== 'completed') return [];
    const lazy = plan.steps.filter(({ name }) => this.last('did', name) < 0);
    const undone = this.firstUndo < Infinity ? ['an undo ran, and it completed'] : [];
    const isLate =
      plan.timeout !== undefined &&
      result.durationMs > plan.timeout &&
      !plan.steps.some(({ pivot }) => pivot);
    return [
      ...lazy.map(({ name }) => `it completed without the effect of ${name}`),
      ...undone,
      ...(isLate ? ['it completed after its time'] : []),
    ];
  }

  /** I3, and what a failed saga says of the effects that stand. */
  private undoneFaults(): string[] {
    if (this.status !== 'compensated' && this.status !== 'failed') return [];
    const standing = this.standing();
    return this.outcome.plan.steps.flatMap((step) => {
      const { name, undo } = step;
      if (!undo || !this.needsUndo(step) || standing.includes(name)) return [];
      return this.lastUndo(name) > this.last('did', name) ? [] : [`the effect of ${name} stands`];
    });
  }

  /** Where its last successful undo began: it does not know of what came later. */
  private lastUndo(name: string): number {
    const { events } = this.outcome;
    const call = events[this.last('undid', name)]?.call;
    return events.findIndex((it) => it.what === 'undoes' && it.step === name && it.call === call);
  }

  private needsUndo({ name, compensateOn }: StepPlan): boolean {
    if (this.last('did', name) < 0) return false;
    return compensateOn !== 'completed' || this.last('returns', name) >= 0;
  }

  private standing(): readonly string[] {
    const { result } = this.outcome;
    return result.status === 'completed' ? [] : (result.error.standing ?? []);
  }

  /** I4, the forward order, concurrency, and no beginning after a cancel. */
  private beginFaults(): string[] {
    const { events, cancel } = this.outcome;
    const cancelled = cancel?.answer === 'requested' ? cancel.events : Infinity;
    return events.flatMap(({ what, step }, place) => {
      if (what !== 'begins') return [];
      const waits = this.byName.get(step)?.dependsOn.filter((other) => !this.succeeded(other, place)) ?? [];
      return [
        ...(place > this.firstUndo ? [`${step} began after the first undo`] : []),
        ...(place > cancelled ? [`${step} began after the cancel`] : []),
        ...waits.map((other) => `${step} began before ${other} was completed`),
        ...(this.underWay(place) > this.outcome.plan.concurrency ? [`${step} is one too many`] : []),
      ];
    });
  }

  private succeeded(step: string, place: number): boolean {
    return this.first(this.byName.get(step)?.transactional ? 'did' : 'returns', step) < place;
  }

  /** Steps of which an attempt runs that was not given up. */
  private underWay(place: number): number {
    const { events } = this.outcome;
    const now = events[place]?.at ?? 0;
    const busy = events.slice(0, place + 1).filter(({ what, step, call, at }) => {
      if (what !== 'begins' || at + TIMEOUT_MS + GRACE_MS <= now) return false;
      const ended = (it: Event) =>
        (it.what === 'returns' || it.what === 'throws') && it.step === step && it.call === call;
      return !events.slice(0, place).some(ended);
    });
    return new Set(busy.map(({ step }) => step)).size;
  }

  /** I5: of the undos that ran, each began when those that it waits for had ended for the first time. */
  private undoOrderFaults(): string[] {
    return [...undoWaits(this.outcome.plan.steps)].flatMap(([name, waits]) => {
      const begun = this.first('undoes', name);
      if (begun === Infinity) return [];
      return [...waits]
        .filter((other) => this.firstUndoEnd(other) > begun && !this.cameLate(other, begun))
        .map((other) => `the undo of ${name} did not wait for that of ${other}`);
    });
  }

  /** Minus infinity when it never ran. */
  private firstUndoEnd(name: string): number {
    if (this.first('undoes', name) === Infinity) return -Infinity;
    const gaveUp = this.places('undo fails', name)[UNDO_ATTEMPTS - 1] ?? Infinity;
    return Math.min(this.first('undid', name), gaveUp);
  }

  /** Whether only a late success called for its undo. */
  private cameLate(name: string, begun: number): boolean {
    return this.first('undoes', name) > begun && this.last('returns', name) > begun;
  }

  /** I6 */
  private pivotFaults(): string[] {
    const pivot = this.outcome.plan.steps.find((step) => step.pivot);
    if (!pivot || this.last('did', pivot.name) < 0) return [];
    return this.firstUndo < Infinity ? ['an undo ran although the pivot happened'] : [];
  }

  private cancelFaults(): string[] {
    const { cancel, events, plan, result } = this.outcome;
    if (!cancel) return [];
    if (cancel.answer === 'requested') {
      const ends = this.status === 'compensated' || this.status === 'failed';
      if (!ends) return [`it was cancelled and is ${this.status}`];
      const turned = cancel.status === 'running' || cancel.status === 'waiting';
      const byStep = result.status !== 'completed' && result.error.step !== undefined;
      return turned && byStep && !this.failedAtOnce(cancel.events) ? ['the cancel is not the reason'] : [];
    }
    const pivot = plan.steps.find((step) => step.pivot)?.name;
    const launched = events.some(({ what, step, at }, place) => {
      const soon = place < cancel.events || at <= (events[cancel.events]?.at ?? 0);
      return soon && what === 'begins' && step === pivot;
    });
    const ended =
      cancel.status !== 'running' && cancel.status !== 'waiting' && cancel.status !== 'compensating';
    return launched || ended ? [] : [`a cancel was refused, and it was ${cancel.status}`];
  }

  /** Whether something failed in the very moment of the cancel. */
  private failedAtOnce(place: number): boolean {
    const { events } = this.outcome;
    const at = events[place]?.at;
    return events.some((it) => it.at === at && it.what === 'throws');
  }

  /** The error tells what turned the saga back, and what stands. */
  private failureFaults(): string[] {
    const { result, plan } = this.outcome;
    if (result.status === 'completed') return [];
    const { code, step } = result.error;
    const gaveUp = plan.steps
      .filter(({ name, undo }) => undo?.fails === 'always' && this.last('undoes', name) >= 0)
      .map(({ name }) => name);
    const { status } = result;
    const own = step === undefined && status !== 'failed' && !TURNED_BY_ITSELF.includes(code);
    return [
      ...(own ? [`no step failed, and the code is ${code}`] : []),
      ...(code === 'SAGAZ_SAGA_TIMEOUT' && plan.timeout === undefined ? ['there is no time-out'] : []),
      ...(status === 'compensated' && gaveUp.length > 0 ? [`the undo of ${gaveUp.join()} gave up`] : []),
      ...(status === 'failed' ? this.standingFaults(gaveUp) : []),
      ...(status === 'parked' && this.firstUndo < Infinity ? ['it is parked, and an undo ran'] : []),
    ];
  }

  private standingFaults(gaveUp: readonly string[]): string[] {
    const standing = this.standing();
    const missing = gaveUp.filter((name) => !standing.includes(name));
    const extra = standing.filter((name) => !gaveUp.includes(name) && !this.mayBeLeft(name));
    return [
      ...(gaveUp.length === 0 ? ['it failed, and no undo gave up'] : []),
      ...missing.map((name) => `${name} is not among what stands`),
      ...extra.map((name) => `${name} does not stand`),
    ];
  }

  /** With `stop`: an undo that was called for and has not succeeded since; a process may have let go of it in its back-off. */
  private mayBeLeft(name: string): boolean {
    const step = this.byName.get(name);
    if (this.outcome.plan.onCompensationFailure !== 'stop' || !step?.undo) return false;
    return this.lastUndo(name) < Math.max(this.last('begins', name), this.last('returns', name));
  }

  /** Nothing is undone that is known not to be there. */
  private unneededUndoFaults(): string[] {
    const { plan, abandoned } = this.outcome;
    const undone = plan.steps.filter(({ name }) => this.last('undoes', name) >= 0);
    return undone.flatMap((step) => {
      const { name, transactional, compensateOn, script } = step;
      if (compensateOn === 'always') return [];
      const calls = this.places('begins', name).length;
      if (calls === 0) return [`${name} was undone, and it never began`];
      if (transactional) return this.last('did', name) < 0 ? [`${name} was rolled back, and undone`] : [];
      const known = script.slice(0, calls).length === calls && script.slice(0, calls).every(isKnown);
      return known && !abandoned ? [`${name} was undone, and it is known that it did nothing`] : [];
    });
  }
}

const isKnown = ({ kind }: Fault) => kind === 'noEffect';
