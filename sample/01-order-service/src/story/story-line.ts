import { styleText } from 'node:util';
import { OrderState } from '../orders/order-state.js';
import type { TrailMark } from '../orders/order-trail.js';
import type { OrderEntity } from '../orders/order.entity.js';

/** What happened to an order, in one line; in colour where stdout shows it. */
export function storyLine(order: OrderEntity, trail: readonly TrailMark[]): string {
  const did = trail
    .filter((mark) => mark.kind === 'did')
    .map(({ what }) => `${what} ${styleText('green', '✓')}`);
  const undid = trail
    .filter((mark) => mark.kind === 'undid')
    .map(({ what }) => styleText('yellow', `↩ ${what}`));
  const failed = order.failedStep === null ? [] : [`${order.failedStep} ${styleText('red', '✗')}`];
  const head = `order ${order.orderId}  ${order.customerId}  ${order.total.padStart(8)}`;
  return `  ${head}  ${[...did, ...failed, ...undid].join('  ')}  → ${ending(order)}`;
}

function ending({ state, reason }: OrderEntity): string {
  if (state === OrderState.Completed) return styleText('green', state);
  return `${styleText('red', state)} ${styleText('dim', `(${reason ?? ''})`)}`;
}
