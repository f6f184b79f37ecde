import { errorText } from '../../runtime/error-text.js';
import { groupBy } from '../../runtime/group-by.js';
import type { OpenSpan } from '../../runtime/tracing.js';
import { Turn } from '../../runtime/turn.js';
import type { DefinitionData } from '../definition/definition-data.js';
import { retiredError } from '../definition/retired-definition.js';
import type { SagaRegistry } from '../definition/saga-registry.js';
import {
  OWN_AGE_MS,
  type ClaimedSaga,
  type HeldSaga,
  type KnownSignals,
  type LateResult,
  type StoredSignal,
} from '../saga-storage.js';
import { FencedError } from '../state/errors.js';
import { failureOf } from '../state/journal.js';
import { pivotLaunched } from './decisions.js';
import type { ResultRow } from './saga-result.js';
import { identityOf } from './saga-reporter.js';
import { SagaRunner, type RunnerSettings } from './saga-runner.js';
import { SUSPECT_DEATHS } from './suspicion.js';

export interface ExecutorSettings extends Omit<RunnerSettings, 'lateResult'> {
  readonly registry: SagaRegistry;
  /** Sagas running at once in this process. */
  readonly maxSagas: number;
  /** Deaths of its processes in a row after which a saga is parked. */
  readonly maxClaims: number;
}

/** Of a saga that runs here or is about to. */
interface Place {
  /** Of its claim; 0 while it is only reserved. */
  readonly epoch: number;
  /** Resolves when nothing of it runs here any more, with how it ended; undefined while it is only reserved. */
  over: Promise<ResultRow | undefined> | undefined;
}

/** The sagas that run in this process. */
export class SagaExecutor {
  /** Sagas that this process lost track of, and when; to be claimed anew if they are still its own. */
  private readonly lostAt = new Map<string, number>();
  private readonly runners = new Map<string, SagaRunner>();
  /** By saga id. */
  private readonly places = new Map<string, Place>();
  private open = false;
  private stopping = false;
  /** Runners that ended here with a handler that would not settle. */
  private readonly lingering = new Set<SagaRunner>();
  private claiming = 0;
  /** Late results on their way to the storage. */
  private readonly reopening = new Set<Promise<unknown>>();
  /** Sagas that may be what kills their processes run one at a time. */
  private readonly suspects = new Turn();
  private readonly runnerSettings: RunnerSettings;

  constructor(private readonly settings: ExecutorSettings) {
    const lateResult = (late: Omit<LateResult, 'workerId'>) => {
      const reopening = this.reopen(late).finally(() => this.reopening.delete(reopening));
      this.reopening.add(reopening);
    };
    this.runnerSettings = { ...settings, lateResult };
  }

  /** How many more sagas may be taken; none before the start and from the drain on. */
  get room(): number {
    return this.open ? this.settings.maxSagas - this.places.size - this.claiming : 0;
  }

  /** Sagas that run here or are about to. */
  get held(): readonly string[] {
    return [...this.places.keys()];
  }

  /** How many sagas run here, by name. */
  get running(): ReadonlyMap<string, number> {
    const byName = groupBy([...this.runners.values()], ({ saga }) => saga.name);
    return new Map([...byName].map(([name, { length }]) => [name, length]));
  }

  /** Sagas to be claimed anew. Those that were not for a while belong to others, or are found by their age. */
  get lost(): readonly string[] {
    const oldest = this.settings.clock.monotonic() - 2 * OWN_AGE_MS;
    for (const [sagaId, at] of this.lostAt) if (at < oldest) this.lostAt.delete(sagaId);
    return [...this.lostAt.keys()];
  }

  /** A saga of this process of which it does not know what is stored. */
  lose(sagaId: string): void {
    this.lostAt.set(sagaId, this.settings.clock.monotonic());
  }

  start(): void {
    this.open = true;
  }

  /** Keeps a place for a saga that is about to be created for this process. @returns false when there is none */
  reserve(sagaId: string): boolean {
    if (this.room <= 0) return false;
    this.places.set(sagaId, { epoch: 0, over: undefined });
    return true;
  }

  /** Keeps room for a claim while it is under way. @returns how many sagas it may claim */
  async withRoom(limit: number, claim: (room: number) => Promise<readonly ClaimedSaga[]>): Promise<number> {
    const room = Math.min(this.room, limit);
    if (room <= 0) return 0;
    this.claiming += room;
    try {
      const claimed = await claim(room);
      for (const saga of claimed) this.accept(saga);
      return claimed.length;
    } finally {
      this.claiming -= room;
    }
  }

  /** Gives back a place that was not taken. */
  forgo(sagaId: string): void {
    if (this.over(sagaId) === undefined) this.places.delete(sagaId);
  }

  /**
   * Runs a saga that this process owns. One that comes after the drain began is only let go of again; a claim that comes
   * behind a later one of the same saga is void.
   * @param span that of its start, if that was here
   */
  accept(saga: ClaimedSaga, span?: OpenSpan): void {
    if (this.isVoid(saga)) return span?.end();
    // What still runs under an older claim has lost the saga, though to this very process.
    this.takenFrom({ sagaId: saga.sagaId, epoch: saga.epoch - 1 });
    this.lostAt.delete(saga.sagaId);
    const place: Place = { epoch: saga.epoch, over: undefined };
    this.places.set(saga.sagaId, place);
    place.over = this.run(saga, span, place);
  }

  /** Resolves when the saga no longer runs here, with how it ended if it did; undefined when it does not run here. */
  over(sagaId: string): Promise<ResultRow | undefined> | undefined {
    return this.places.get(sagaId)?.over;
  }

  /**
   * Turns back a saga that runs here; what runs elsewhere learns of it by itself. So does the next owner of one that this
   * process has lost: that it cannot write is told by its runner, and is no fault of the request, which is durable.
   */
  async cancel(sagaId: string): Promise<void> {
    await this.runners
      .get(sagaId)
      ?.cancel()
      .catch(() => undefined);
  }

  /** The claims under which sagas run here. */
  get claims(): readonly HeldSaga[] {
    return [...this.runners.values()].map(({ saga: { sagaId, epoch } }) => ({ sagaId, epoch }));
  }

  /** A saga was taken, from the claim of this epoch or an earlier one. One that this process has claimed since goes on. */
  takenFrom({ sagaId, epoch }: HeldSaga): void {
    const runner = this.runners.get(sagaId);
    if (runner && runner.saga.epoch <= epoch)
      runner.lostTrack(new FencedError(`saga ${sagaId} was taken from this process`));
  }

  /** Sagas that run here although one of their steps waits for a signal, with how many signals of theirs are known. */
  get awaiting(): readonly KnownSignals[] {
    return [...this.runners.values()].flatMap(({ gates }) => gates?.awaited ?? []);
  }

  /** Hands signals to the sagas that run here. */
  signalled(signals: readonly StoredSignal[]): void {
    for (const [sagaId, own] of groupBy(signals, (signal) => signal.sagaId))
      this.runners.get(sagaId)?.gates?.signalled(own);
  }

  /** Takes nothing more; what runs may finish. */
  close(): void {
    this.open = false;
    for (const runner of this.runners.values()) runner.drain();
  }

  /** Lets go of everything at once: others may run it by now. @returns how many sagas that was */
  abandon(reason: Error): number {
    const runners = [...this.runners.values()];
    for (const runner of runners) runner.lostTrack(reason);
    return runners.length;
  }

  /** Aborts what still runs. */
  stop(): void {
    this.stopping = true;
    for (const runner of this.runners.values()) runner.stop();
  }

  /** Resolves once nothing runs here or is about to. */
  async idle(): Promise<void> {
    const { clock } = this.settings;
    while (this.places.size + this.reopening.size > 0) {
      const places = [...this.places.values()].map(({ over }) => over ?? clock.delay(RESERVED_PAUSE_MS));
      await Promise.race([...places, ...this.reopening]);
    }
  }

  /** Sagas of which a handler may still be running: those that hold a place, and those that were given up on. */
  get leftRunning(): number {
    return this.places.size + [...this.lingering].filter((runner) => runner.unsettledHandlers > 0).length;
  }

  private async run(saga: ClaimedSaga, span: OpenSpan | undefined, place: Place) {
    const made = this.runnerOf(saga);
    const runner = made instanceof Promise ? await made : made;
    if (!runner || this.isVoid(saga)) {
      span?.end();
      this.vacate(saga, place);
      return undefined;
    }
    try {
      this.enter(runner, span);
      await (runner.deaths < SUSPECT_DEATHS ? runner.run() : this.suspects.run(() => runner.run()));
      runner.trace.end(runner.state());
    } catch (error) {
      this.stopped(runner, error);
    } finally {
      this.leave(runner, place);
    }
    return runner.ended;
  }

  private enter(runner: SagaRunner, span: OpenSpan | undefined): void {
    runner.trace.begin(span);
    this.runners.set(runner.saga.sagaId, runner);
    this.lostAt.delete(runner.saga.sagaId);
    if (!this.open) runner.drain();
    if (this.stopping) runner.stop();
  }

  private leave(runner: SagaRunner, place: Place): void {
    for (const other of this.lingering) if (other.unsettledHandlers === 0) this.lingering.delete(other);
    if (runner.unsettledHandlers > 0) this.lingering.add(runner);
    if (this.isLatest(runner)) this.runners.delete(runner.saga.sagaId);
    this.vacate(runner.saga, place);
  }

  private vacate({ sagaId }: ClaimedSaga, place: Place): void {
    const full = this.room <= 0;
    if (this.places.get(sagaId) === place) this.places.delete(sagaId);
    if (full && this.open) this.settings.wakeClaims();
  }

  /** A later claim of the saga runs here, or is about to. */
  private isVoid({ sagaId, epoch }: ClaimedSaga): boolean {
    const known = [this.places.get(sagaId)?.epoch, this.runners.get(sagaId)?.saga.epoch];
    return known.some((other) => other !== undefined && other > epoch);
  }

  private isLatest(runner: SagaRunner): boolean {
    return this.runners.get(runner.saga.sagaId) === runner;
  }

  private stopped(runner: SagaRunner, error: unknown): void {
    const { log } = this.settings;
    runner.trace.end(runner.state(), error);
    if (this.isLatest(runner)) this.lose(runner.saga.sagaId);
    if (error instanceof FencedError) runner.reporter.fenced(error.message);
    if (error instanceof FencedError) log.warn(error.message);
    else log.error(`${runner.title} stopped here by a fault of the storage: ${errorText(error)}`);
  }

  /** A late result is not lost for a fault of the storage, as long as this process is not shutting down. */
  private async reopen(late: Omit<LateResult, 'workerId'>): Promise<void> {
    const { storage, identity, clock, log } = this.settings;
    const what = `the late result of step ${late.step} of saga ${late.sagaId}`;
    for (;;) {
      try {
        const claimed = await storage.reopen({ ...late, workerId: identity.id });
        if (claimed) this.accept(claimed);
        else log.warn(`${what} changes nothing`);
        return;
      } catch (error) {
        log.error(`${what} could not be written: ${errorText(error)}`);
        if (!this.open) return;
        await clock.delay(REOPEN_PAUSE_MS);
      }
    }
  }

  /** A saga that its definition cannot explain, or that kills its processes, is parked for an operator. */
  private runnerOf(saga: ClaimedSaga): SagaRunner | Promise<SagaRunner | undefined> {
    if (this.settings.registry.isRetired(saga)) return this.rebuilt(saga);
    try {
      return this.makeRunner(saga, undefined);
    } catch (error) {
      return this.refuse(saga, error);
    }
  }

  /** What is left in the code of a retired version does not say what its steps were. */
  private async rebuilt(saga: ClaimedSaga): Promise<SagaRunner | undefined> {
    try {
      return this.makeRunner(saga, await this.storedSteps(saga));
    } catch (error) {
      return this.refuse(saga, error);
    }
  }

  private async refuse(saga: ClaimedSaga, error: unknown): Promise<undefined> {
    if (error instanceof StorageFault) this.loseOf(saga, error);
    else await this.park(saga, error);
  }

  private async storedSteps({ name, version, definition: hash }: ClaimedSaga): Promise<DefinitionData> {
    const { storage } = this.settings;
    const text = await storage.findDefinition({ name, version, hash }).catch((error: unknown) => {
      throw new StorageFault(errorText(error), { cause: error });
    });
    if (text === undefined)
      throw new Error(`the steps of version ${version} of saga "${name}" are not stored`);
    return JSON.parse(text) as DefinitionData;
  }

  private makeRunner(saga: ClaimedSaga, data: DefinitionData | undefined): SagaRunner {
    const { registry, maxClaims } = this.settings;
    const { name, version } = saga;
    const definition = data ? registry.rebuild(saga, data) : registry.find(name, version);
    if (!definition) throw new Error(`version ${version} of saga "${name}" is not registered here`);
    const runner = new SagaRunner(saga, definition, this.runnerSettings);
    const state = runner.state();
    if (data && state.status === 'running' && pivotLaunched(state)) throw retiredError(definition);
    if (runner.deaths > maxClaims) throw crashLoop(runner.deaths);
    return runner;
  }

  private async park(saga: ClaimedSaga, reason: unknown): Promise<void> {
    const { storage, log, telemetry } = this.settings;
    const { sagaId, epoch, ageMs: durationMs } = saga;
    const failure = failureOf(reason);
    const end = { results: '{}', error: JSON.stringify(failure) };
    try {
      await storage.append({ sagaId, epoch, entries: [], events: [], status: 'parked', end });
    } catch (fault) {
      this.loseOf(saga, fault);
      return;
    }
    log.error(`saga ${saga.name} ${sagaId} is parked: ${failure.message}`);
    const parked = { ...identityOf(saga), durationMs, code: failure.code, standing: [] };
    telemetry.emit('saga.parked', () => parked);
  }

  private loseOf({ name, sagaId }: ClaimedSaga, fault: unknown): void {
    this.lose(sagaId);
    this.settings.log.error(`saga ${name} ${sagaId} could not be run or parked: ${errorText(fault)}`);
  }
}

/** Not a fault of the saga: it is claimed anew. */
class StorageFault extends Error {}

function crashLoop(deaths: number): Error {
  const message = `${deaths} processes in a row have died while they ran this saga (sagas.maxClaims)`;
  return Object.assign(new Error(message), { code: 'SAGAZ_CRASH_LOOP' });
}

const RESERVED_PAUSE_MS = 10;
const REOPEN_PAUSE_MS = 1_000;
