import { DEBUG_POINTS, type DebugPoint } from '../../../lib/runtime/debug-points.js';
import { SagazTelemetry } from '../../../lib/runtime/telemetry.js';
import type { SagaDefinition } from '../../../lib/saga/definition/saga-definition.js';
import { startSagaProcess } from '../../support/saga-process.js';
import { Ledger } from './ledger.js';
import { chaosSagas } from './sagas.js';
import type { FromWorker, ToWorker } from './worker-process.js';

/**
 * A process that runs the sagas of all shapes, and kills (or freezes) itself at the n-th time a point is reached when
 * SAGAZ_CRASH_AT=point#n (or CHAOS_FREEZE_AT) says so. It is told by messages what to start, and tells what has ended.
 */
async function main(): Promise<void> {
  const {
    CHAOS_URL = '',
    CHAOS_LEDGER_URL = '',
    CHAOS_LEASE = '1s',
    CHAOS_HANG,
    CHAOS_ATTEMPTS = '2',
    CHAOS_FREEZE_AT,
    CHAOS_VERSIONS = '1-1',
    SAGAZ_CRASH_AT,
  } = process.env;
  const ledger = new Ledger(CHAOS_LEDGER_URL);
  const counts = new Map<DebugPoint, number>();
  const crashAt = crashPoint(SAGAZ_CRASH_AT);
  const freezeAt = crashPoint(CHAOS_FREEZE_AT);
  const reach = (point: DebugPoint) => {
    const count = (counts.get(point) ?? 0) + 1;
    counts.set(point, count);
    if (point === crashAt?.point && count === crashAt.count) process.kill(process.pid, 'SIGKILL');
    if (point === freezeAt?.point && count === freezeAt.count) process.kill(process.pid, 'SIGSTOP');
  };
  const options = {
    worker: { lease: CHAOS_LEASE as '1s', outbox: false },
    shutdownTimeout: '5s' as const,
    sagas: { maxClaims: 5 },
  };
  const { runtime, stop } = await startSagaProcess(
    CHAOS_URL,
    versions(
      chaosSagas(ledger, { hang: CHAOS_HANG === '1', maxAttempts: Number(CHAOS_ATTEMPTS) }),
      CHAOS_VERSIONS,
    ),
    options,
    { reach },
  );
  const { orchestrator } = runtime;
  const told = { takeovers: 0, dead: 0, fenced: 0 };
  SagazTelemetry.subscribe('worker.takeover', ({ sagas }) => void (told.takeovers += sagas));
  SagazTelemetry.subscribe('worker.dead', ({ dead }) => void (told.dead += dead.length));
  SagazTelemetry.subscribe('worker.fenced', () => void (told.fenced += 1));
  process.on('message', (message: ToWorker) => {
    if (message.kind === 'counts') {
      say({ kind: 'counts', counts: { ...Object.fromEntries(counts), ...told } });
      return;
    }
    const { id, shape, input, key } = message;
    const tags = { case: id };
    orchestrator
      .execute(shape, input, { tags, ...(key !== undefined && { idempotencyKey: key }) })
      .then(({ sagaId, status }) => say({ kind: 'ended', id, sagaId, status }))
      .catch((error: unknown) => say({ kind: 'failed', id, message: String(error) }));
  });
  const end = once(() =>
    stop()
      .then(() => ledger.close())
      .then(() => process.disconnect?.()),
  );
  process.on('SIGTERM', end);
  process.on('disconnect', end);
  // The test may have ended while this process came up.
  if (!process.connected) end();
  say({ kind: 'ready' });
}

/** Calling it again does nothing; ending a process ends its channel, which would end it. */
function once(work: () => Promise<void>): () => void {
  let over: Promise<void> | undefined;
  return () => void (over ??= work());
}

function say(message: FromWorker): void {
  if (process.connected) process.send?.(message);
}

/**
 * The same sagas with other numbers: a process claims only the versions that it has.
 * @param text first-last, or one; version 1 and a slash before it: of that only the undos
 */
function versions(sagas: readonly SagaDefinition[], text: string): readonly SagaDefinition[] {
  const whole = text.replace(/^1\//, '');
  const [first = 1, last = first] = whole.split('-').map(Number);
  const numbers = Array.from({ length: last - first + 1 }, (_, n) => first + n);
  return [
    ...(whole === text ? [] : sagas.map(retired)),
    ...numbers.flatMap((version) => sagas.map((saga) => ({ ...saga, version }))),
  ];
}

function retired(saga: SagaDefinition): SagaDefinition {
  return { ...saga, draft: { ...saga.draft, steps: [], retired: true } };
}

/** @throws when it names no point */
function crashPoint(text: string | undefined) {
  if (text === undefined) return undefined;
  const [name, count] = text.split('#');
  const point = DEBUG_POINTS.find((it) => it === name);
  if (!point || !(Number(count) >= 1)) throw new Error(`SAGAZ_CRASH_AT=${text}: expected point#n`);
  return { point, count: Number(count) };
}

void main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = 1;
});
