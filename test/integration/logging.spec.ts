import { fork } from 'node:child_process';
import { once } from 'node:events';
import { randomUUID } from 'node:crypto';

interface Told {
  readonly ended: readonly { readonly sagaId: string; readonly status: string }[];
  readonly metrics: string;
  readonly traces: unknown;
}

type Line = Readonly<Record<string, unknown>>;

const LEVELS = { debug: 20, info: 30, warn: 40, error: 50 };

describe('an application that logs with nestjs-pino', () => {
  const secret = randomUUID();
  let output = '';
  let lines: Line[];
  let told: Told;

  beforeAll(async () => {
    const env = { ...process.env, SECRET: secret };
    const child = fork('test/integration/programs/logged.mjs', {
      env,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    const streams = [child.stdout, child.stderr];
    for (const stream of streams) stream?.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('message', (message: Told) => (told = message));
    await once(child, 'close');
    lines = output.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Line] : []));
  }, 30_000);

  const of = (event: string) => lines.filter((line) => line['event'] === event);

  it('has one JSON line at info for the saga that completed, with its ids as fields', () => {
    const [completed] = told.ended;
    expect(of('saga.completed')).toEqual([
      expect.objectContaining({
        ...{ level: LEVELS.info, context: 'Sagaz', saga: 'order', version: 1, correlationId: 'order-false' },
        ...{ sagaId: completed?.sagaId, traceId: expect.stringMatching(/^[0-9a-f]{32}$/) as string },
        msg: expect.stringMatching(/^saga order completed after \d+ ms$/) as string,
        durationMs: expect.any(Number) as number,
      }),
    ]);
  });

  it('has steps at debug, attempts that are repeated at warn, alarms at error', () => {
    const step = { saga: 'order', step: 'reserve', attempt: 1, outcome: 'completed' };
    expect(of('step.completed')[0]).toMatchObject({ level: LEVELS.debug, ...step });
    const repeated = lines.filter(({ msg }) => /failed, next in/.test(String(msg)));
    expect(repeated).toEqual([
      expect.objectContaining({
        level: LEVELS.warn,
        step: 'charge',
        attempt: 1,
        correlationId: 'order-false',
      }),
    ]);
    expect(told.ended.map(({ status }) => status)).toEqual(['completed', 'failed']);
    for (const alarm of ['saga.failed', 'undo.failed', 'outbox.dead-lettered'])
      expect(of(alarm)[0]).toMatchObject({ level: LEVELS.error, msg: `alarm ${alarm}` });
  });

  it('(pitfall 35) tells no secret of input, results, events, headers, tags, keys, signals and addresses', () => {
    expect(lines.length).toBeGreaterThan(20);
    expect(output).not.toContain(secret);
    expect(told.metrics).toContain('sagaz_sagas_ended_total{service="shop",saga="order",status="failed"} 1');
    expect(told.metrics).not.toContain(secret);
    expect(JSON.stringify(told.traces)).toContain('step charge');
    expect(JSON.stringify(told.traces)).not.toContain(secret);
  });

  it('leaves what the application logs to the application, and to the paths that it has redacted', () => {
    const own = lines.filter(({ msg }) => msg === 'order ended');
    expect(own.map(({ result }) => result)).toEqual(
      told.ended.map(({ sagaId }) => ({ id: sagaId, card: '[Redacted]' })),
    );
  });
});
