import { OutboxHealthIndicator, SagaHealthIndicator } from '../../../lib/terminus.js';
import { FakeApplication } from '../../support/fake-application.js';

const NO_EVENTS = {
  pending: new Map<string, number>(),
  oldestAgeMs: new Map<string, number>(),
  lag: new Map<number, number>(),
  retrying: new Map<string, number>(),
  dead: new Map<string, number>(),
};
const NO_SAGAS = { waiting: 3, compensating: 0, failed: 0, parked: 0 };

let application: FakeApplication;
beforeEach(() => {
  application = new FakeApplication('one');
});

describe('SagaHealthIndicator', () => {
  const health = (limits = {}) => new SagaHealthIndicator(application).isHealthy('sagas', limits);

  it('is up where nothing is counted', async () => {
    expect(await health()).toEqual({ sagas: { status: 'up' } });
  });

  it('is down without its storage, and when that does not answer', async () => {
    application.checkStorage = () => Promise.reject(new Error('schema "public" lacks the migrations 8'));
    expect(await health()).toEqual({
      sagas: { status: 'down', message: 'schema "public" lacks the migrations 8' },
    });
    application.checkStorage = () => new Promise(() => undefined);
    expect(await health({ timeout: 20 })).toEqual({
      sagas: { status: 'down', message: 'no answer within 20 ms' },
    });
  });

  it('is degraded while sagas are stuck or have no worker, beyond the limits', async () => {
    application.sagaNumbers = { ...NO_SAGAS, failed: 1, parked: 2 };
    const since = new Date();
    application.stranded = [{ name: 'trip', version: 1, hash: '', count: 4, since }];
    expect(await health()).toEqual({
      sagas: {
        ...{ status: 'degraded', message: '3 sagas are stuck; 4 sagas have no worker that can run them' },
        ...{ waiting: 3, compensating: 0, failed: 1, parked: 2, withoutWorker: 4 },
      },
    });
    expect(await health({ stuck: 3, withoutWorker: 4 })).toMatchObject({ sagas: { status: 'up' } });
  });
});

describe('OutboxHealthIndicator', () => {
  const health = (limits = {}) => new OutboxHealthIndicator(application).isHealthy('outbox', limits);

  it('is up when events get out', async () => {
    application.outboxNumbers = { ...NO_EVENTS, pending: new Map([['default', 5]]) };
    expect(await health()).toEqual({ outbox: { status: 'up', pending: 5, oldestMs: 0, deadLetters: 0 } });
  });

  it('is degraded, not down, while a destination cannot be reached: a restart would not help', async () => {
    application.pingDestination = (name) =>
      name === 'audit' ? Promise.reject(new Error('no connection')) : Promise.resolve();
    expect(await health()).toEqual({
      outbox: { status: 'degraded', message: 'destination "audit": no connection' },
    });
  });

  it('is degraded while events are old or dead, beyond the limits', async () => {
    const oldestAgeMs = new Map([
      ['default', 1_000],
      ['audit', 90_000],
    ]);
    application.outboxNumbers = { ...NO_EVENTS, oldestAgeMs, dead: new Map([['default', 2]]) };
    expect(await health()).toMatchObject({
      outbox: { status: 'degraded', message: 'the oldest pending event is 90 s old; 2 dead letters' },
    });
    expect(await health({ lag: 100_000, deadLetters: 2 })).toMatchObject({ outbox: { status: 'up' } });
  });

  it('is down without its storage', async () => {
    application.checkStorage = () => Promise.reject(new Error('connect ECONNREFUSED'));
    expect(await health()).toMatchObject({ outbox: { status: 'down', message: 'connect ECONNREFUSED' } });
  });
});
