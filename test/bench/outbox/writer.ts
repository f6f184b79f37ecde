import { setTimeout as sleep } from 'node:timers/promises';
import { openWriter } from '../library.js';

// A process that writes events and relays none: it is sent { events, perSecond } and answers { sent: [key, when] }.
const [url = ''] = process.argv.slice(2);
const writer = await openWriter(url);
let count = 0;

process.on('message', ({ events, perSecond }: { readonly events: number; readonly perSecond: number }) => {
  void write(events, 1_000 / perSecond);
});
process.on('disconnect', () => void writer.close().then(() => process.exit()));
process.send?.({ ready: true });

async function write(events: number, pauseMs: number): Promise<void> {
  const sent: [string, number][] = [];
  for (let n = 0; n < events; n++) {
    const key = `event ${++count}`;
    // The moment in which the COMMIT is sent, as nearly as it can be told from outside.
    const at = await writer.transaction(async (publish) => {
      await publish({ type: 'order.completed', key, payload: { n } });
      return Date.now() + (performance.now() % 1);
    });
    sent.push([key, at]);
    await sleep(pauseMs);
  }
  process.send?.({ sent });
}
