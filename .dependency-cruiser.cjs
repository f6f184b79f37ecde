const NEST = '(^|/)node_modules/(@nestjs/(common|core)|rxjs|reflect-metadata)/';
const TYPEORM = '(^|/)node_modules/(typeorm|@nestjs/typeorm)/';
const STATE = '^lib/saga/state/';
const LEAVES = ['^lib/runtime/', '^lib/events/'];
const SAGA_PORT = '^lib/saga/(ports/.+|[^/]+-storage)\\.ts$';
const BROKER_PORT = '^lib/brokers/[^/]+\\.ts$';
const PORTS = '^lib/((saga|outbox|inbox)/[^/]+-storage|saga/ports/.+|brokers/[^/]*message-broker)\\.ts$';
const CLIENTS = {
  memory: [],
  rabbitmq: ['amqplib', 'amqp-connection-manager'],
  kafka: ['kafkajs'],
  redis: ['ioredis'],
  microservices: ['@nestjs/microservices', 'rxjs', '@nestjs/common'],
};

/** A room may import itself, Node's own modules and what is listed; everything else is an error. */
function room(name, from, allowed, comment) {
  return {
    name: `room-${name}`,
    comment,
    severity: 'error',
    from: { path: from },
    to: { pathNot: [from, ...allowed], dependencyTypesNot: ['core'] },
  };
}

function forbid(name, from, to, comment) {
  return { name, comment, severity: 'error', from, to };
}

function packages(names) {
  return names.map((name) => `(^|/)node_modules/${name}/`);
}

const brokerRooms = Object.entries(CLIENTS).map(([name, clients]) => {
  const neighbours = name === 'microservices' ? ['^lib/brokers/(memory|redis)/'] : [];
  const allowed = [...LEAVES, STATE, BROKER_PORT, ...neighbours, ...packages(clients)];
  return room(
    `broker-${name}`,
    `^lib/brokers/${name}/`,
    allowed,
    'A broker knows its port and one client library.',
  );
});

const rooms = [
  room('runtime', '^lib/runtime/', [], 'Time, loops and telemetry know nothing of sagas.'),
  room('events', '^lib/events/', ['^lib/runtime/'], 'What an event is, is a leaf: it knows of durations.'),
  room('saga', '^lib/saga/', LEAVES, 'The engine knows no Nest, no database and no broker.'),
  room(
    'outbox',
    '^lib/outbox/',
    [...LEAVES, STATE, BROKER_PORT],
    'The outbox knows the broker by its port only.',
  ),
  {
    ...room(
      'inbox',
      '^lib/inbox/',
      [...LEAVES, STATE],
      'The inbox knows transports by shape, not by import.',
    ),
    from: { path: '^lib/inbox/', pathNot: '\\.interceptor\\.ts$' },
  },
  {
    ...room(
      'inbox-interceptor',
      '^lib/inbox/',
      [...LEAVES, STATE, NEST],
      'Only the interceptor is a Nest thing.',
    ),
    from: { path: '^lib/inbox/.*\\.interceptor\\.ts$' },
  },
  {
    ...room(
      'admin',
      '^lib/admin/',
      [...LEAVES, '^lib/(saga|outbox)/'],
      'Operators work on sagas and events through their ports.',
    ),
    from: { path: '^lib/admin/', pathNot: '^lib/admin/http/' },
  },
  room(
    'admin-http',
    '^lib/admin/http/',
    [...LEAVES, STATE, '^lib/admin/', NEST],
    'Only the routes of operators are a Nest thing.',
  ),
  room('broker-port', BROKER_PORT, [...LEAVES, STATE], 'The port of all brokers.'),
  ...brokerRooms,
  room(
    'persistence-memory',
    '^lib/persistence/memory/',
    [...LEAVES, STATE, SAGA_PORT, '^lib/(outbox|inbox)/', '^lib/persistence/[^/]+\\.ts$'],
    'Storages implement ports.',
  ),
  room(
    'persistence-typeorm',
    '^lib/persistence/typeorm/',
    [
      ...LEAVES,
      STATE,
      SAGA_PORT,
      '^lib/(outbox|inbox)/',
      '^lib/persistence/[^/]+\\.ts$',
      TYPEORM,
      ...packages(['pg', '@types/pg']),
    ],
    'Storages implement ports; only this room speaks SQL.',
  ),
  room(
    'observability',
    '^lib/observability/',
    [
      ...LEAVES,
      STATE,
      SAGA_PORT,
      '^lib/outbox/outbox-storage\\.ts$',
      '^lib/brokers/load-peer\\.ts$',
      '^lib/sagaz\\.tokens\\.ts$',
      '(^|/)node_modules/',
    ],
    'Observability listens to telemetry, reads numbers that others count, and decides nothing.',
  ),
];

const insideSaga = [
  forbid(
    'saga-state-is-lowest',
    { path: STATE },
    { path: '^lib/saga/(definition|execution|retry|recovery)/' },
    'state <- definition <- execution.',
  ),
  forbid(
    'saga-definition-below-execution',
    { path: '^lib/saga/definition/' },
    { path: '^lib/saga/(execution|recovery)/' },
    'state <- definition <- execution.',
  ),
  forbid(
    'ports-are-leaves',
    { path: PORTS },
    { path: '^lib/', pathNot: [PORTS, STATE, BROKER_PORT, ...LEAVES] },
    'A port names states, events and runtime types, never the code that uses or implements it.',
  ),
];

const everywhere = [
  forbid('no-circular', {}, { circular: true }, 'Two files that need each other are one file, or three.'),
  forbid('no-unresolvable', { path: '^lib/' }, { couldNotResolve: true }, 'The module does not exist.'),
  forbid(
    'no-barrels-inside',
    { path: '^lib/' },
    {
      path: [
        '^lib/(index|typeorm|microservices|rabbitmq|kafka|redis|prometheus|opentelemetry|terminus|admin)\\.ts$',
        '^lib/.+/index\\.ts$',
      ],
    },
    'Barrels are for consumers.',
  ),
  forbid(
    'one-place-for-telemetry',
    { path: '^lib/', pathNot: '^lib/runtime/telemetry\\.ts$' },
    { path: '^(node:)?diagnostics_channel$' },
    'Every event goes through the table of telemetry.ts.',
  ),
  forbid(
    'typeorm-stays-in-its-room',
    {
      path: '^lib/',
      pathNot: ['^lib/persistence/typeorm/', '^lib/sagaz-core\\.module\\.ts$', '-alias\\.ts$'],
    },
    { path: [TYPEORM, ...packages(['pg', '@types/pg'])] },
    'Only persistence/typeorm, the core module and type alias files (*-alias.ts) name TypeORM or pg.',
  ),
  forbid(
    'microservices-is-optional',
    { path: '^lib/', pathNot: '^lib/(brokers/microservices/|microservices\\.ts$)' },
    { path: packages(['@nestjs/microservices']) },
    'The root entry must load without optional peers, types included.',
  ),
  ...['prometheus', 'opentelemetry', 'terminus'].map((name) =>
    forbid(
      `optional-room-${name}-stays-off-the-root`,
      { path: '^lib/', pathNot: `^lib/(observability/${name}/|${name}\\.ts$)` },
      { path: `^lib/observability/${name}/` },
      'The root entry must load without optional peers, types included.',
    ),
  ),
  ...['microservices', 'rabbitmq', 'kafka', 'redis'].map((name) =>
    forbid(
      `optional-room-${name}-stays-off-the-root`,
      {
        path: '^lib/',
        pathNot: `^lib/(brokers/(${name}|microservices)/|(${name}|microservices)\\.ts$|testing/)`,
      },
      { path: `^lib/brokers/${name}/` },
      'The root entry must load without optional peers, types included.',
    ),
  ),
  forbid(
    'nobody-imports-testing-or-cli',
    { path: '^lib/', pathNot: '^lib/(testing|cli)/' },
    { path: '^lib/(testing|cli)/' },
    'Test helpers and the command line are ends, not parts.',
  ),
  forbid(
    'nest-public-api-only',
    { path: '^(lib|sample)/' },
    {
      path: '(^|/)node_modules/@nestjs/[^/]+/.+',
      pathNot: '(^|/)node_modules/@nestjs/[^/]+/(dist/)?index\\.(d\\.ts|js)$',
    },
    'Deep imports into Nest break with its minor versions.',
  ),
  forbid(
    'only-declared-peers',
    { path: '^lib/' },
    {
      dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'],
      dependencyTypesNot: ['npm-peer'],
      pathNot: 'node_modules/@types/',
    },
    'Users do not have our development dependencies.',
  ),
  forbid(
    'lib-stands-alone',
    { path: '^lib/' },
    { path: '^(test|sample)/' },
    'The library knows no test and no sample.',
  ),
  forbid(
    'sample-is-a-consumer',
    { path: '^sample/' },
    // Self-reference by name resolves to dist, once it is built.
    { path: '^(lib|test)/' },
    "Samples import 'nestjs-sagaz' by name, as users do.",
  ),
];

module.exports = {
  forbidden: [...rooms, ...insideSaga, ...everywhere],
  options: {
    doNotFollow: { path: ['node_modules', '^dist/'] },
    tsPreCompilationDeps: true,
    // The build's configuration has no path aliases: a sample's import by name is not an import of lib.
    tsConfig: { fileName: 'tsconfig.build.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['types', 'import', 'node', 'default'],
      mainFields: ['types', 'typings', 'module', 'main'],
    },
  },
};
