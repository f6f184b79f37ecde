import type { SagaDefinition } from '../../../lib/saga/definition/saga-definition.js';
import { NonRetryableError } from '../../../lib/saga/state/errors.js';
import { isEnded, type SagaStatus } from '../../../lib/saga/state/saga-status.js';
import { settled } from '../../support/fake-clock.js';
import {
  QUICK,
  saga,
  SagaWorld,
  type Action,
  type TestRun,
  type TestStep,
  type Undo,
} from '../../support/saga-world.js';

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const GRACE_MS = 5_000;
/** Just longer than the lease. */
const SILENCE_MS = 10_001;

/**
 * One saga among processes that die and shut down at random moments. Its steps call a remote system that knows
 * idempotency keys: they take a while, have their effect or not, and then succeed or throw; in a process that has
 * died they go on until their time-out.
 */
class Chaos {
  readonly world = new SagaWorld();
  readonly effects: string[] = [];
  readonly trace: string[] = [];
  private readonly random: () => number;
  private readonly dead = new Set<number>();
  private owner = 0;

  constructor(private readonly seed: number) {
    this.random = randomOf(seed);
  }

  async run(): Promise<SagaStatus> {
    const { world } = this;
    const definition = this.definition();
    await this.beat();
    let current = await world.start(definition, {}, 'w0');
    const { sagaId } = current;
    for (let rounds = this.pick(0, 1, 2, 3, 4); rounds > 0; rounds--) {
      await this.pass(this.pick(0, 0, 3, 900, 5_000, 14_000, 26_000));
      if (await this.ended(sagaId)) break;
      await this.end(current);
      if (await this.ended(sagaId)) break;
      const claimed = await world.claim(sagaId, definition, `w${++this.owner}`);
      await this.beat();
      current = world.go(claimed, definition);
    }
    if (!(await this.ended(sagaId))) await world.clock.until(current.done);
    await world.clock.advance(100_000);
    const status = (await world.status(sagaId)) as SagaStatus;
    const faults = definition.graph.names.flatMap((name) => this.faults(name, definition, status));
    if (faults.length > 0)
      throw new Error(`seed ${this.seed}, ${status}: ${faults.join('; ')}\n${this.trace.join('\n')}`);
    return status;
  }

  /** What the saga promised of a step and did not keep. */
  private faults(name: string, definition: SagaDefinition, status: SagaStatus): string[] {
    const own = this.effects.filter((effect) => effect.endsWith(` ${name}`));
    const done = own.some((effect) => effect.startsWith('did'));
    const undone = own.some((effect) => effect.startsWith('undid'));
    const { compensation, transactional } = definition.steps.get(name) ?? {};
    if (status === 'completed' && !done) return [`${name} has no effect`];
    if (status !== 'compensated') return undone ? [`${name} was undone`] : [];
    const stands = done && !own.at(-1)?.startsWith('undid');
    return stands && compensation && !transactional ? [`${name} was not undone`] : [];
  }

  private definition(): SagaDefinition {
    const undo = (ctx: Undo) => this.undo(ctx);
    const shapes: Readonly<Record<string, TestStep>>[] = [
      { a: this.step([], { undo }), b: this.step(['a'], { undo }), c: this.step(['b'], { undo }) },
      {
        ...{ a: this.step([], { undo }), b: this.step([], { undo }) },
        t: this.step(['a'], { undo, transactional: true }),
        c: this.step(['a', 'b', 't'], { undo }),
      },
      {
        ...{ a: this.step([], { undo }), p: this.step(['a'], { pivot: true }) },
        ...{ x: this.step(['p'], { retry: QUICK }), y: this.step(['p'], { retry: QUICK }) },
      },
    ];
    return saga(this.pick(...shapes), { compensationRetry: { ...QUICK, maxAttempts: 100 } });
  }

  private step(dependsOn: readonly string[], more: Partial<TestStep> = {}): TestStep {
    const retry = this.pick(1, 2, 4);
    const run = (ctx: Action) => this.act(ctx);
    return { dependsOn, timeout: '20s', retry: { ...QUICK, maxAttempts: retry }, run, ...more };
  }

  private async act({ step, signal, fencingToken }: Action): Promise<string> {
    this.note(`${step} begins (${fencingToken})`);
    const left = await this.wait(this.pick(0, 0, 5, 1_000, 12_000, 19_000), signal);
    const isDead = this.dead.has(fencingToken);
    if (left > 0 && !isDead && this.random() < 0.5) throw signal.reason;
    await this.world.clock.delay(isDead ? left : Math.min(left, GRACE_MS - 1));
    const end = this.pick('done', 'done', 'done', 'done, reply lost', 'time-out', 'refused', 'not again');
    this.note(`${step} ends (${fencingToken}): ${end}`);
    if (end.startsWith('done') && !this.effects.includes(`did ${step}`)) this.effects.push(`did ${step}`);
    if (end === 'done') return step;
    if (end === 'not again') throw new NonRetryableError(end);
    throw Object.assign(new Error(end), end === 'refused' && { status: 422 });
  }

  private async undo({ step, signal, fencingToken, outcome }: Undo): Promise<void> {
    this.note(`undo of ${step} begins (${fencingToken}): ${outcome}`);
    if ((await this.wait(this.pick(0, 10, 3_000), signal)) > 0) throw signal.reason;
    if (this.random() < 0.2) throw new Error('not now');
    this.effects.push(`undid ${step}`);
  }

  /** @returns the milliseconds that were left when the signal aborted */
  private async wait(ms: number, signal: AbortSignal): Promise<number> {
    const { clock } = this.world;
    const until = clock.monotonic() + ms;
    await clock.delay(ms, signal);
    return until - clock.monotonic();
  }

  /** The process of a run dies, or shuts down. */
  private async end(current: TestRun): Promise<void> {
    const { clock } = this.world;
    if (this.random() < 0.5) await settled();
    const how = this.pick('dies', 'drains', 'drains and aborts');
    this.note(`w${this.owner} ${how}`);
    if (how === 'dies') return this.die(current);
    current.runner.drain();
    if (how !== 'drains') current.runner.stop();
    if ((await clock.until(current.done)) === 'abandoned') await this.die(current);
  }

  private async die(current: TestRun): Promise<void> {
    this.world.kill(current);
    this.dead.add(current.epoch);
    await this.world.clock.advance(SILENCE_MS);
  }

  private async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 2_000) {
      await this.beat();
      await this.world.clock.advance(Math.min(2_000, left));
    }
  }

  private beat(): Promise<boolean> {
    return this.world.workers.heartbeat({ id: `w${this.owner}`, relays: false, leaseMs: 10_000 });
  }

  private async ended(sagaId: string): Promise<boolean> {
    return isEnded((await this.world.status(sagaId)) as SagaStatus);
  }

  private note(text: string): void {
    this.trace.push(`${this.world.clock.monotonic()} ${text}`);
  }

  private pick<T>(...items: readonly [T, ...T[]] | readonly T[]): T {
    return items[Math.floor(this.random() * items.length)] as T;
  }
}

describe('a saga whose processes die and shut down at any moment', () => {
  it.each([1, 2, 3, 4])(
    'ends, and what it says of its effects is true (part %p)',
    async (part) => {
      const counts = new Map<string, number>();
      for (let seed = part * 10_000; seed < part * 10_000 + 400; seed++) {
        const status = await new Chaos(seed).run();
        counts.set(status, (counts.get(status) ?? 0) + 1);
      }
      expect([...counts.keys()].sort()).toEqual(['compensated', 'completed', 'parked']);
    },
    60_000,
  );
});
