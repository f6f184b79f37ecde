import { stepsOf, type Rule } from './saga-record.js';

/** I10: the journal has no gap. */
export const gaps: Rule = ({ journal }) =>
  journal.flatMap(({ seq }, index) => (seq === index + 1 ? [] : [`I10: entry ${seq} is out of place`]));

/** I10: nobody writes to the main database with an epoch older than one before: no entry, and no transaction. */
export const epochs: Rule = (record) => {
  const fenced = new Set(stepsOf(record).flatMap(([name, step]) => (step.transactional ? [name] : [])));
  const byNumber = record.journal.map(({ seq, epoch, at }) => ({ what: `entry ${seq}`, epoch, at }));
  const written = record.effects
    .filter(({ step }) => fenced.has(step))
    .map(({ step, kind, epoch, at }) => ({ what: `the ${kind} of ${step}`, epoch, at }));
  return [...old(byNumber), ...old([...byNumber, ...written].sort((a, b) => a.at - b.at))];
};

function old(writes: readonly { readonly what: string; readonly epoch: number }[]): string[] {
  return writes.flatMap(({ what, epoch }, index) =>
    epoch < (writes[index - 1]?.epoch ?? 0) ? [`I10: ${what} has the old epoch ${epoch}`] : [],
  );
}
