import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AppConfig } from '../config.js';
import { openDatabase } from './open-database.js';

@Module({
  imports: [
    TypeOrmModule.forRootAsync({
      inject: [AppConfig],
      useFactory: (config: AppConfig) => ({
        type: 'postgres',
        url: config.databaseUrl,
        poolSize: 10,
        autoLoadEntities: true,
        // A wrong DATABASE_URL is told at once, not after ten attempts.
        toRetry: () => false,
      }),
      dataSourceFactory: openDatabase,
    }),
  ],
})
export class DatabaseModule {}
