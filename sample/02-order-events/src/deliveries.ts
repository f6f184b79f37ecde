import {
  Controller,
  Get,
  Inject,
  Injectable,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { SagazTelemetry } from 'nestjs-sagaz';
import { say } from './say.js';

/** How many messages took effect, and how many had done so before. */
@Injectable()
export class Deliveries implements OnModuleInit, OnApplicationShutdown {
  readonly counts = { processed: 0, duplicates: 0 };
  private subscriptions: readonly (() => void)[] = [];

  onModuleInit(): void {
    this.subscriptions = [
      SagazTelemetry.subscribe('inbox.processed', () => (this.counts.processed += 1)),
      SagazTelemetry.subscribe('inbox.duplicate', ({ consumer }) => {
        this.counts.duplicates += 1;
        say(consumer, 'this came before, and counts once');
      }),
    ];
  }

  onApplicationShutdown(): void {
    for (const unsubscribe of this.subscriptions) unsubscribe();
  }
}

@Controller('deliveries')
export class DeliveriesController {
  constructor(@Inject(Deliveries) private readonly deliveries: Deliveries) {}

  @Get()
  counts(): Deliveries['counts'] {
    return this.deliveries.counts;
  }
}
