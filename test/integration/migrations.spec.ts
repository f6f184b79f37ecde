import { DataSource } from 'typeorm';
import { SchemaMismatchError } from '../../lib/index.js';
import { Migrator } from '../../lib/persistence/typeorm/migrations/migrator.js';
import { migrationSql, sagazMigrations } from '../../lib/typeorm.js';
import { describeWith } from '../support/requirement.js';
import { applicationDatabase, type ApplicationDatabase } from '../support/test-data-source.js';

/** Tables, columns, indexes and checks of a schema, as PostgreSQL tells them. */
async function shapeOf(dataSource: DataSource, schema: string): Promise<unknown> {
  const columns: unknown = await dataSource.query(
    `SELECT table_name, column_name, data_type, is_nullable, replace(column_default, $1 || '.', '') AS column_default
     FROM information_schema.columns WHERE table_schema = $1 ORDER BY 1, 2`,
    [schema],
  );
  const indexes: unknown = await dataSource.query(
    `SELECT replace(indexdef, $1 || '.', '') AS index FROM pg_indexes WHERE schemaname = $1 AND tablename ~ '^(saga|consumer)_' ORDER BY 1`,
    [schema],
  );
  return { columns, indexes };
}

describeWith('postgres', 'migrations', () => {
  let database: ApplicationDatabase;
  beforeAll(async () => {
    database = await applicationDatabase();
  });
  afterAll(() => database.close());

  it('are applied once by five processes that start at once', async () => {
    const sources = await Promise.all(
      Array.from({ length: 5 }, () => new DataSource({ type: 'postgres', url: database.url }).initialize()),
    );
    await Promise.all(sources.map((source) => new Migrator(source, 'five').run()));
    expect(await database.dataSource.query('SELECT version, name FROM five.saga_migration')).toEqual([
      { version: 1, name: 'initial' },
      { version: 2, name: 'timers-and-cancel' },
      { version: 3, name: 'sessions' },
      { version: 4, name: 'signals-and-definitions' },
      { version: 5, name: 'retries-and-dead-letters' },
      { version: 6, name: 'suspects-and-sent-events' },
      { version: 7, name: 'inbox' },
      { version: 8, name: 'audit' },
      { version: 9, name: 'saga-headers' },
      { version: 10, name: 'audit-target' },
    ]);
    await Promise.all(sources.map((source) => source.destroy()));
  });

  it('refuse a schema without our tables, saying what mends it', async () => {
    const check = new Migrator(database.dataSource, 'empty').check();
    await expect(check).rejects.toThrow(SchemaMismatchError);
    await expect(new Migrator(database.dataSource, 'empty').check()).rejects.toThrow(
      /lacks the migrations 1 initial, 2 timers-and-cancel, 3 sessions, 4 signals-and-definitions, 5 retries-and-dead-letters, 6 suspects-and-sent-events, 7 inbox, 8 audit, 9 saga-headers, 10 audit-target; .*migrations: 'run'/,
    );
  });

  it('refuse a schema that a newer version changed in a breaking way, and accept an additive one', async () => {
    const { dataSource } = database;
    const migrator = new Migrator(dataSource, 'newer');
    await migrator.run();
    await dataSource.query(
      `INSERT INTO newer.saga_migration (version, name, breaking) VALUES (1000, 'later', false)`,
    );
    await expect(migrator.check()).resolves.toBeUndefined();
    await dataSource.query(`UPDATE newer.saga_migration SET breaking = true WHERE version = 1000`);
    await expect(migrator.check()).rejects.toThrow('update the package');
  });

  it('make the same tables as the SQL text and as the TypeORM migrations, which all load (pitfall 32)', async () => {
    const { dataSource, url } = database;
    await new Migrator(dataSource, 'by_module').run();
    await dataSource.query(migrationSql({ schema: 'by_text' }));
    await dataSource.query('CREATE SCHEMA by_typeorm');
    const typeorm = new DataSource({
      type: 'postgres',
      url,
      schema: 'by_typeorm',
      migrations: [...sagazMigrations],
    });
    await typeorm.initialize();
    await typeorm.runMigrations();
    await typeorm.destroy();

    const expected = await shapeOf(dataSource, 'by_module');
    expect(await shapeOf(dataSource, 'by_text')).toEqual(expected);
    const { columns, indexes } = (await shapeOf(dataSource, 'by_typeorm')) as {
      columns: { table_name: string }[];
      indexes: unknown;
    };
    expect({
      columns: columns.filter(({ table_name }) => /^(saga|consumer)_/.test(table_name)),
      indexes,
    }).toEqual(expected);
    for (const schema of ['by_module', 'by_text', 'by_typeorm'])
      await new Migrator(dataSource, schema).check();
  });

  it('write nothing where nothing is missing: no DDL at every start, and no right to it is needed (pitfall 32)', async () => {
    const { dataSource, url } = database;
    await new Migrator(dataSource, 'settled').run();
    const name = `reader_${process.pid}`;
    await dataSource.query(`CREATE ROLE ${name} LOGIN PASSWORD 'reader'`);
    await dataSource.query(`GRANT USAGE ON SCHEMA settled TO ${name}`);
    await dataSource.query(`GRANT SELECT ON settled.saga_migration TO ${name}`);
    const address = new URL(url);
    [address.username, address.password] = [name, 'reader'];
    const reader = new DataSource({ type: 'postgres', url: address.href });
    try {
      await reader.initialize();
      await expect(reader.query('CREATE SCHEMA nope')).rejects.toThrow('permission denied');
      await new Migrator(reader, 'settled').run();
    } finally {
      await reader.destroy();
      await dataSource.query(`DROP OWNED BY ${name}`);
      await dataSource.query(`DROP ROLE ${name}`);
    }
  });

  it('refuse a schema name that is no identifier', async () => {
    await expect(() => new Migrator(database.dataSource, 'a"; DROP TABLE x; --').check()).rejects.toThrow(
      TypeError,
    );
    expect(() => migrationSql({ schema: 'a b' })).toThrow(TypeError);
  });
});
