import { Module } from '@nestjs/common';
import { PrometheusModule } from '@willsoto/nestjs-prometheus';
import { SagazModule } from 'nestjs-sagaz';
import { SagazPrometheusModule } from 'nestjs-sagaz/prometheus';
import { AppConfig } from './config.js';
import { ConfigModule } from './config.module.js';
import { DatabaseModule } from './database/database.module.js';
import { DatasetsModule } from './datasets/datasets.module.js';
import { LoggingModule } from './logging.module.js';
import { NotificationsModule } from './notifications/notifications.module.js';
import { OrdersModule } from './orders/orders.module.js';
import { RunModule } from './run/run.module.js';
import { StoryModule } from './story/story.module.js';

@Module({
  imports: [
    ConfigModule,
    LoggingModule,
    PrometheusModule.register(),
    SagazPrometheusModule.forRoot(),
    DatabaseModule,
    DatasetsModule,
    OrdersModule,
    NotificationsModule,
    RunModule,
    StoryModule,
    // Last: it starts after the modules above and drains before they close.
    SagazModule.forRootAsync({
      inject: [AppConfig],
      useFactory: ({ schema, worker, shutdownTimeout }: AppConfig) => ({
        ...{ schema, worker, shutdownTimeout },
        // As the sample's own tables are: it is to run anywhere with one command.
        migrations: 'run' as const,
      }),
    }),
  ],
})
export class AppModule {}
