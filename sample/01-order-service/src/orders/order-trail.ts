import { Injectable } from '@nestjs/common';
import type { OrderKey } from './order-input.js';

export interface TrailMark {
  readonly kind: 'did' | 'undid';
  readonly what: string;
}

/** What the saga did with the orders that someone follows, for showing it to people. Others leave no trace. */
@Injectable()
export class OrderTrail {
  private readonly trails = new Map<string, TrailMark[]>();

  follow(order: OrderKey): void {
    this.trails.set(keyOf(order), []);
  }

  did(order: OrderKey, what: string): void {
    this.trails.get(keyOf(order))?.push({ kind: 'did', what });
  }

  undid(order: OrderKey, what: string): void {
    this.trails.get(keyOf(order))?.push({ kind: 'undid', what });
  }

  /** Ends the following and tells what was seen. */
  take(order: OrderKey): readonly TrailMark[] {
    const marks = this.trails.get(keyOf(order)) ?? [];
    this.trails.delete(keyOf(order));
    return marks;
  }
}

function keyOf({ dataset, orderId }: OrderKey): string {
  return `${dataset}:${orderId}`;
}
