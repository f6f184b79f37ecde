export { migrationSql, type MigrationSqlOptions } from './persistence/typeorm/migrations/all-migrations.js';
export { sagazMigrations } from './persistence/typeorm/migrations/typeorm-migrations.js';
export { TypeOrmOutboxStorage } from './persistence/typeorm/typeorm-outbox-storage.js';
export { TypeOrmSagaStorage } from './persistence/typeorm/typeorm-saga-storage.js';
