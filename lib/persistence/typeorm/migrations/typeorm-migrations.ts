import type { MigrationInterface, QueryRunner } from 'typeorm';
import { tablesOf } from '../identifiers.js';
import { ALL_MIGRATIONS, migrationTableSql, statementsOf } from './all-migrations.js';
import type { Migration } from './migration.js';

/** TypeORM orders migrations by the number at the end of their name. */
const FIRST_TIMESTAMP = 1_764_000_000_000;

function asTypeOrm(migration: Migration): new () => MigrationInterface {
  return class implements MigrationInterface {
    readonly name = `Sagaz${migration.version}${migration.name.replaceAll('-', '')}${FIRST_TIMESTAMP + migration.version}`;

    async up(queryRunner: QueryRunner): Promise<void> {
      const schema = (queryRunner.dataSource.options as { schema?: string }).schema ?? 'public';
      for (const statement of migrationTableSql(schema)) await queryRunner.query(statement);
      const applied = (await queryRunner.query(
        `SELECT 1 FROM ${tablesOf(schema).migration} WHERE version = $1`,
        [migration.version],
      )) as unknown[];
      if (applied.length > 0) return;
      for (const statement of statementsOf(migration, schema)) await queryRunner.query(statement);
    }

    down(): Promise<void> {
      return Promise.reject(
        new Error(
          'migrations of nestjs-sagaz only add; drop its tables by hand if you mean to lose its data',
        ),
      );
    }
  };
}

/**
 * Our migrations for `migrations: [...sagazMigrations]` of your DataSource, in the DataSource's own schema. Then set
 * the module's option `migrations: 'check'`.
 */
export const sagazMigrations: readonly (new () => MigrationInterface)[] = ALL_MIGRATIONS.map(asTypeOrm);
