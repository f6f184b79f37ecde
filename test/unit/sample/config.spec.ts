import { AppConfig } from '../../../sample/01-order-service/src/config.js';

const DATABASE_URL = 'postgres://postgres@127.0.0.1:5432/shop';

describe('AppConfig', () => {
  it('has defaults for all but the database', () => {
    expect(new AppConfig({ DATABASE_URL })).toEqual({
      databaseUrl: DATABASE_URL,
      port: 3000,
      logLevel: undefined,
      schema: undefined,
      worker: { lease: '3s' },
      shutdownTimeout: '20s',
    });
  });

  it('reads the variables of the samples', () => {
    const env = { DATABASE_URL, PORT: '0', LOG_LEVEL: 'debug', SAGAZ_SCHEMA: 'sagas', SAGAZ_WORKER: 'none' };
    expect(new AppConfig({ ...env, SAGAZ_SHUTDOWN_TIMEOUT: '5s' })).toMatchObject({
      port: 0,
      logLevel: 'debug',
      schema: 'sagas',
      worker: false,
      shutdownTimeout: '5s',
    });
    expect(new AppConfig({ DATABASE_URL, SAGAZ_WORKER: 'outbox' }).worker).toEqual({
      lease: '3s',
      sagas: false,
    });
  });

  it.each([
    [{}, 'DATABASE_URL is not set. Start with `npm start`'],
    [{ DATABASE_URL: 'localhost:5432' }, 'DATABASE_URL is not of the form'],
    [{ DATABASE_URL, PORT: '70000' }, 'PORT must be a whole number from 0 to 65535, got "70000"'],
    [{ DATABASE_URL, LOG_LEVEL: 'loud' }, 'LOG_LEVEL must be one of'],
    [
      { DATABASE_URL, SAGAZ_WORKER: 'some' },
      'SAGAZ_WORKER must be one of all, sagas, outbox, none, got "some"',
    ],
    [{ DATABASE_URL, SAGAZ_BROKER: 'kafka' }, 'SAGAZ_BROKER must be one of memory, got "kafka"'],
    [{ DATABASE_URL, SAGAZ_SHUTDOWN_TIMEOUT: 'soon' }, 'SAGAZ_SHUTDOWN_TIMEOUT must be a duration'],
  ])('refuses %j', (env, message) => {
    expect(() => new AppConfig(env)).toThrow(message);
  });
});
