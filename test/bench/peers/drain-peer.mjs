/**
 * The process of a queue that drains what waits: it is sent { events } and answers { rate }.
 * @param {{ fill(events: object[]): Promise<void>, drain(count: number): Promise<void | (() => Promise<void>)>, stop(): Promise<void> }} queue
 */
export function drains({ fill, drain, stop }) {
  process.on('message', async ({ events: count }) => {
    const text = 'x'.repeat(250);
    await fill(Array.from({ length: count }, (_, orderId) => ({ orderId, text })));
    const start = performance.now();
    const end = await drain(count);
    const rate = (count * 1_000) / (performance.now() - start);
    await end?.();
    process.send({ rate });
  });
  process.on('disconnect', async () => {
    await stop();
    process.exit();
  });
  process.send({ ready: true });
}
