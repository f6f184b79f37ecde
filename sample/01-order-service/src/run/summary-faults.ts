import type { Summary } from './summary.js';

/** What is not as a finished run should leave it, in words for the user. */
export function summaryFaults({ others, completed, published }: Summary): string[] {
  const faults = Object.entries(others).map(
    ([state, count]) =>
      `${count} orders ended as "${state}": see failed_step, reason and saga_id in the table shop_order`,
  );
  if (published !== completed) {
    faults.push(
      `${published} of ${completed} order.completed events reached their handler; the others wait in the outbox, ` +
        'the same command delivers them',
    );
  }
  return faults;
}
