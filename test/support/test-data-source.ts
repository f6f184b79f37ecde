import { DataSource } from 'typeorm';
import { createDatabase, type TestDatabase } from './database.js';

export interface ApplicationDatabase {
  readonly dataSource: DataSource;
  readonly url: string;
  close(): Promise<void>;
}

/** A fresh database with an initialised DataSource on it, as an application would have. */
export async function applicationDatabase(): Promise<ApplicationDatabase> {
  const database: TestDatabase = await createDatabase();
  const dataSource = await new DataSource({ type: 'postgres', url: database.url }).initialize();
  const close = async () => {
    if (dataSource.isInitialized) await dataSource.destroy();
    await database.drop();
  };
  return { dataSource, url: database.url, close };
}
