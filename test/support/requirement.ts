const SERVICES = {
  postgres: {
    variable: 'DATABASE_URL',
    reason: 'DATABASE_URL is not set and no server was found or started',
  },
  pgbouncer: { variable: 'PGBOUNCER', reason: 'pgbouncer is not installed (Debian package pgbouncer)' },
  pg_dump: { variable: 'PG_DUMP', reason: 'there is no pg_dump and psql of the version of the server' },
  rabbitmq: { variable: 'RABBITMQ_URL', reason: 'RABBITMQ_URL is not set and nothing listens on port 5672' },
  redis: { variable: 'REDIS_URL', reason: 'REDIS_URL is not set and nothing listens on port 6379' },
  kafka: { variable: 'KAFKA_BROKERS', reason: 'KAFKA_BROKERS is not set and nothing listens on port 9092' },
  'rabbitmq-server': {
    variable: 'RABBITMQ_SERVER',
    reason: 'it is not installed (Debian package rabbitmq-server)',
  },
  promtool: { variable: 'PROMTOOL', reason: 'it is not on the path (Debian package prometheus)' },
  openssl: { variable: 'OPENSSL', reason: 'it is not on the path (Debian package openssl)' },
  'redis-server': { variable: 'REDIS_SERVER', reason: 'it is not installed (Debian package redis-server)' },
} as const;

export type Service = keyof typeof SERVICES;

/**
 * A suite that needs a service. Where it is absent, the suite is skipped and its title says why (the closing
 * table prints it); where SAGAZ_REQUIRE (comma separated) lists the service, it fails instead.
 */
export function describeWith(service: Service, title: string, suite: () => void): void {
  const { variable, reason } = SERVICES[service];
  const needs = `needs ${service}: ${reason}`;
  if (process.env[variable]) {
    describe(title, suite);
  } else if (isRequired(service)) {
    describe(title, () => {
      it(`has ${service}`, () => {
        throw new Error(`${needs}, and SAGAZ_REQUIRE lists it`);
      });
    });
  } else {
    describe.skip(`${title} (${needs})`, suite);
  }
}

function isRequired(service: Service): boolean {
  const required = process.env['SAGAZ_REQUIRE'] ?? '';
  return required.split(',').some((name) => name.trim() === service);
}
