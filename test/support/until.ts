import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves when the fact holds; fails when it does not within the limit. For facts that nothing announces. */
export async function until(fact: () => boolean | Promise<boolean>, limitMs = 30_000): Promise<void> {
  const end = Date.now() + limitMs;
  while (!(await fact())) {
    if (Date.now() > end) throw new Error(`did not become true within ${limitMs} ms: ${fact.toString()}`);
    await sleep(5);
  }
}
