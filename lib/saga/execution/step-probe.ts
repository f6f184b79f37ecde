import { errorText } from '../../runtime/error-text.js';
import type { ProbeResult } from '../definition/context.js';
import { attemptOnce } from './attempt.js';
import type { JobControl } from './job-control.js';
import type { StepHost } from './step-host.js';
import type { StepJob } from './step-job.js';

const UNKNOWN = { outcome: 'unknown' } as const;

/** Asks a step's probe what became of its action. A step without one, and a probe that fails, know nothing. */
export async function askProbe(host: StepHost, job: StepJob, control: JobControl): Promise<ProbeResult> {
  const { step } = job;
  const { probe } = step;
  if (!probe) return UNKNOWN;
  const { clock } = host;
  const deadlineMs = clock.now() + step.timeout;
  const attempt = { step, number: job.firstAttempt, deadlineMs, tx: undefined, events: [], settled: false };
  const limits = { timeoutMs: step.timeout, graceMs: 0, place: step.place, control, clock };
  try {
    const answer = await attemptOnce(
      async (own) => probe(host.contexts.probe(attempt, own, host.state())),
      limits,
    );
    return (answer as ProbeResult | undefined) ?? UNKNOWN;
  } catch (error) {
    host.log.warn(`${host.title}: the probe of step ${step.name} failed: ${errorText(error)}`);
    return UNKNOWN;
  }
}
