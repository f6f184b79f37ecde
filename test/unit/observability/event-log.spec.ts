import { logEvents } from '../../../lib/observability/logging/event-log.js';
import type { LogLine } from '../../../lib/runtime/log.js';
import { Telemetry } from '../../../lib/runtime/telemetry.js';
import { FakeClock } from '../../support/fake-clock.js';
import { MemoryLog } from '../../support/memory-log.js';

const ofSaga = { sagaId: 's1', saga: 'trip', correlationId: 'c1', traceId: 't1' };
const attempt = { ...ofSaga, step: 'hotel', attempt: 2, durationMs: 4.4, outcome: 'completed' } as const;

describe('the log of events', () => {
  const told: [string, LogLine][] = [];
  const write = (level: string) => (line: LogLine) => void told.push([level, line]);
  const log = { log: write('log'), warn: write('warn'), error: write('error'), debug: write('debug') };
  const own = new Telemetry('one', new FakeClock(), log);
  const other = new Telemetry('two', new FakeClock(), new MemoryLog());
  let debugs = true;
  let end: () => void;

  beforeEach(() => {
    told.length = 0;
    debugs = true;
    end = logEvents({ workerId: 'one', log, debugs: () => debugs });
  });
  afterEach(() => end());

  it('has one line at info for each saga that ended, with what machines look for', () => {
    own.emit('saga.completed', () => ({ ...ofSaga, version: 1, durationMs: 12.6, code: undefined }));
    own.emit('saga.compensated', () => ({ ...ofSaga, version: 1, durationMs: 3, code: 'FULL' }));
    other.emit('saga.completed', () => ({ ...ofSaga, version: 1, durationMs: 1, code: undefined }));
    expect(told).toEqual([
      [
        'log',
        {
          ...{ msg: 'saga trip completed after 13 ms', event: 'saga.completed', ...ofSaga, version: 1 },
          ...{ durationMs: 12.6, code: undefined, workerId: 'one' },
        },
      ],
      ['log', expect.objectContaining({ msg: 'saga trip compensated (FULL) after 3 ms', code: 'FULL' })],
    ]);
  });

  it('has steps at debug, and makes no line of them where nobody would see it', () => {
    own.emit('step.completed', () => ({ ...attempt, code: undefined }));
    debugs = false;
    own.emit('step.completed', () => ({ ...attempt, code: undefined }));
    expect(told).toEqual([
      ['debug', expect.objectContaining({ msg: 'step hotel of trip: completed in 4 ms', ...attempt })],
    ]);
  });

  it('leaves alarms to be logged at error where they are told, once', () => {
    const standing = ['hotel'];
    own.emit('saga.failed', () => ({ ...ofSaga, version: 1, durationMs: 3, code: 'X', standing }));
    expect(told).toEqual([
      [
        'error',
        expect.objectContaining({ msg: 'alarm saga.failed', event: 'saga.failed', standing, ...ofSaga }),
      ],
    ]);
  });

  it('ends', () => {
    end();
    own.emit('saga.completed', () => ({ ...ofSaga, version: 1, durationMs: 1, code: undefined }));
    expect(told).toEqual([]);
  });
});
