import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource, QueryRunner } from 'typeorm';
import { ReadOnlyDatabaseError, SchemaMismatchError } from '../../../saga/state/errors.js';
import { tablesOf } from '../identifiers.js';
import { sqlStateOf } from '../sql-state.js';
import { ALL_MIGRATIONS, migrationTableSql, statementsOf } from './all-migrations.js';

/** Number of the advisory lock under which one process at a time migrates. Any constant that nobody else uses. */
const LOCK_KEY = 7_240_501_117;
const LOCK_PAUSE_MS = 50;
const UNDEFINED_TABLE = '42P01';
const UNDEFINED_SCHEMA = '3F000';

interface Applied {
  readonly version: number;
  readonly breaking: boolean;
}

/** Brings our tables to the version of this code, or says that they are not. */
export class Migrator {
  constructor(
    private readonly dataSource: DataSource,
    private readonly schema: string,
  ) {}

  /** Applies what is missing, all or nothing; several processes may call it at once. */
  async run(): Promise<void> {
    await this.refuseStandby();
    if ((await this.missing()).length > 0) await this.migrate();
    await this.check();
  }

  /** @throws SchemaMismatchError when tables are missing, older, or newer in a way this code cannot work with */
  async check(): Promise<void> {
    await this.refuseStandby();
    const missing = await this.missing();
    if (missing.length > 0) {
      const names = missing.map(({ version, name }) => `${version} ${name}`).join(', ');
      throw new SchemaMismatchError(
        `schema "${this.schema}" lacks the migrations ${names}; ${HOW_TO_MIGRATE}`,
      );
    }
    const known = ALL_MIGRATIONS.at(-1)?.version ?? 0;
    const breaking = (await this.applied()).filter((it) => it.version > known && it.breaking);
    if (breaking.length === 0) return;
    throw new SchemaMismatchError(
      `schema "${this.schema}" is of a newer nestjs-sagaz that this version cannot work with; update the package`,
    );
  }

  private async missing() {
    const applied = new Set((await this.applied()).map(({ version }) => version));
    return ALL_MIGRATIONS.filter(({ version }) => !applied.has(version));
  }

  private async applied(): Promise<readonly Applied[]> {
    try {
      return await this.dataSource.query(
        `SELECT version, breaking FROM ${tablesOf(this.schema).migration} ORDER BY version`,
      );
    } catch (error) {
      if ([UNDEFINED_TABLE, UNDEFINED_SCHEMA].includes(sqlStateOf(error) ?? '')) return [];
      throw error;
    }
  }

  /**
   * All in one transaction, whose lock ends with it: a pooler in transaction mode knows no locks of sessions. Asks for the
   * lock again and again instead of waiting inside the database, where a waiter would hold back vacuum.
   */
  private async migrate(): Promise<void> {
    const runner = this.dataSource.createQueryRunner('master');
    try {
      while (!(await this.attempt(runner))) await sleep(LOCK_PAUSE_MS);
    } finally {
      await runner.release();
    }
  }

  /** @returns false when another process is migrating */
  private async attempt(runner: QueryRunner): Promise<boolean> {
    await runner.startTransaction();
    try {
      const locked = await tryLock(runner);
      if (locked) await this.apply(runner);
      await runner.commitTransaction();
      return locked;
    } catch (error) {
      await runner.rollbackTransaction();
      throw error;
    }
  }

  private async apply(runner: QueryRunner): Promise<void> {
    for (const statement of migrationTableSql(this.schema)) await runner.query(statement);
    // Read again: another process may have migrated while this one waited for the lock.
    for (const migration of await this.missing())
      for (const statement of statementsOf(migration, this.schema)) await runner.query(statement);
  }

  private async refuseStandby(): Promise<void> {
    const [row] = await this.dataSource.query<{ standby: boolean }[]>(
      'SELECT pg_is_in_recovery() AS standby',
    );
    if (!row?.standby) return;
    throw new ReadOnlyDatabaseError(
      'the DataSource points at a standby, which accepts no writes; point it at the primary',
    );
  }
}

const HOW_TO_MIGRATE =
  "run npx nestjs-sagaz migrate, or start once with the option migrations: 'run', or add sagazMigrations (from nestjs-sagaz/typeorm) to the migrations of your DataSource, or run the text of migrationSql()";

async function tryLock(runner: QueryRunner): Promise<boolean> {
  const [row] = (await runner.query('SELECT pg_try_advisory_xact_lock($1) AS locked', [LOCK_KEY])) as {
    locked: boolean;
  }[];
  return row?.locked === true;
}
