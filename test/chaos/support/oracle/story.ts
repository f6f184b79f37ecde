import type { SagaRecord } from './saga-record.js';

/** What happened to a saga, a line each, in milliseconds since the first: for whoever has to find out why. */
export function storyOf({ scenario, status, launch, journal, calls, effects }: SagaRecord): string {
  const lines = [
    ...journal.map(({ seq, kind, step, epoch, launch: next, data, at }) => ({
      at,
      text: `epoch ${epoch} entry ${seq} ${kind} ${step ?? ''} [${next.join()}] ${data ?? ''}`,
    })),
    ...calls.map(({ step, kind, epoch, attempt, at }) => ({
      at,
      text: `epoch ${epoch}   call ${kind} ${step}, attempt ${attempt}`,
    })),
    ...effects.map(({ step, kind, epoch, at }) => ({ at, text: `epoch ${epoch}   effect ${kind} ${step}` })),
  ].sort((a, b) => a.at - b.at);
  const start = lines[0]?.at ?? 0;
  const told = lines.map(({ at, text }) => `  ${(at - start).toFixed(1).padStart(8)} ${text}`);
  return [`  ${scenario.name}: ${status}, launched [${launch.join()}]`, ...told].join('\n');
}
