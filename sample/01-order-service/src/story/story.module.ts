import { Module } from '@nestjs/common';
import { OrdersModule } from '../orders/orders.module.js';
import { RunModule } from '../run/run.module.js';
import { StoryTeller } from './story-teller.js';

@Module({ imports: [OrdersModule, RunModule], providers: [StoryTeller] })
export class StoryModule {}
