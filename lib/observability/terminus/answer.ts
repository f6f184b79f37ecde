import type { HealthIndicatorResult } from '@nestjs/terminus';
import { systemClock } from '../../runtime/clock.js';
import { errorText } from '../../runtime/error-text.js';
import { within } from '../../runtime/within.js';

export type Health<K extends string> = HealthIndicatorResult<K>;

interface Findings {
  /** Nothing works: why. */
  readonly down?: string | undefined;
  /** It works, and somebody should look: why. */
  readonly degraded: readonly string[];
  /** For whoever looks. */
  readonly facts: Readonly<Record<string, unknown>>;
}

/** What terminus wants of an indicator. */
export function healthOf<K extends string>(key: K, { down, degraded, facts }: Findings): Health<K> {
  const status = down !== undefined ? 'down' : degraded.length > 0 ? 'degraded' : 'up';
  const reasons = [...(down === undefined ? [] : [down]), ...degraded];
  const message = reasons.length > 0 ? { message: reasons.join('; ') } : {};
  return { [key]: { status, ...message, ...facts } } as Health<K>;
}

/** What a check fails with, or that it gave no answer; undefined when it went well. */
export async function faultOf(check: Promise<void>, timeoutMs: number): Promise<string | undefined> {
  let fault: string | undefined = `no answer within ${timeoutMs} ms`;
  const answered = check.then(() => undefined, errorText).then((text) => void (fault = text));
  await within(systemClock, timeoutMs, answered);
  return fault;
}
