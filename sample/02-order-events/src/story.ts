import { setTimeout as sleep } from 'node:timers/promises';
import type { Addresses } from './services.js';

const PAUSE_MS = 50;
const ORDERS = [
  { customer: 'Ada', amount: 1_250 },
  { customer: 'Ben', amount: 99_900 },
  { customer: 'Cy', amount: 250_000 },
  { customer: 'Dot', amount: 4_700 },
];

interface OfOrder {
  readonly orderId: string;
}

/** Four orders, of which one is refused, and what becomes of their events; then the events once more. */
export async function tellStory(services: Addresses): Promise<void> {
  const placed = await Promise.all(ORDERS.map((order) => post(`${services.orders}/orders`, order)));
  const completed = placed.filter(({ status }) => status === 'completed').map(({ orderId }) => orderId);
  const count = async () => {
    const [bills, mails] = [
      await get<OfOrder[]>(`${services.billing}/bills`),
      await get<OfOrder[]>(`${services.mail}/mails`),
    ];
    const ours = (rows: readonly OfOrder[]) =>
      rows.filter(({ orderId }) => completed.includes(orderId)).length;
    return { bills: ours(bills), mails: ours(mails) };
  };
  await until(async () => (await count()).mails === 2 * completed.length);

  write('\nAll events of completed orders once more:');
  const before = await duplicates(services);
  const { events } = await post(`${services.orders}/orders/events/again`, {});
  await until(async () => (await duplicates(services)) - before >= 2 * events);
  const { bills, mails } = await count();
  write(
    `\n${placed.length} orders, ${completed.length} completed: ${bills} bills, ${mails} mails, none of them twice.`,
  );
}

async function duplicates({ billing, mail }: Addresses): Promise<number> {
  let sum = 0;
  for (const url of new Set([billing, mail]))
    sum += (await get<{ duplicates: number }>(`${url}/deliveries`)).duplicates;
  return sum;
}

interface Answer extends OfOrder {
  readonly status: string;
  readonly events: number;
}

async function post(url: string, body: object): Promise<Answer> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return (await response.json()) as Answer;
}

async function get<T>(url: string): Promise<T> {
  return (await (await fetch(url)).json()) as T;
}

async function until(fact: () => Promise<boolean>): Promise<void> {
  while (!(await fact())) await sleep(PAUSE_MS);
}

function write(text: string): void {
  process.stdout.write(`${text}\n`);
}
