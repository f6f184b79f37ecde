import { requireSaid } from '../../admin/event-filter.js';
import { deadLetterFilterOf, deadLetterQueryOf } from '../../admin/text-fields.js';
import type { Command, CommandOption } from '../command.js';
import { table } from '../table.js';
import { EVENT_OPTIONS } from './event-options.js';

const FILTER: Readonly<Record<string, CommandOption>> = {
  ...EVENT_OPTIONS,
  'died-after': { value: 'DATE', help: 'such as 2026-11-27T08:30:00Z' },
  'died-before': { value: 'DATE', help: 'the same' },
};

const list: Command = {
  name: 'dead-letters list',
  summary: 'events that gave up, the latest first',
  parameters: [],
  options: {
    ...FILTER,
    limit: { value: 'N', help: 'from 1 to 500, default 50' },
    after: { value: 'NEXT', help: 'what a list before said' },
  },
  changes: false,
  async run(call) {
    const query = deadLetterQueryOf(call.fields);
    const page = await call.atDesk(({ outbox }) => outbox.listDeadLetters(query));
    const rows = page.letters.map(({ eventId, destination, type, key, diedAt, attempts, parked, reason }) => [
      ...[eventId, destination, type, key, diedAt, attempts, parked ? 'yes' : '', reason],
    ]);
    const headings = ['event', 'destination', 'type', 'key', 'died', 'attempts', 'parked', 'reason'];
    const more = page.next === undefined ? '' : `\n\nmore: --after ${page.next}`;
    return { text: rows.length === 0 ? 'no dead letters' : table(headings, rows) + more, json: page };
  },
};

function change(word: 'requeue' | 'discard', summary: string): Command {
  return {
    name: `dead-letters ${word}`,
    summary,
    parameters: [],
    options: FILTER,
    changes: true,
    async run(call) {
      const filter = requireSaid(word, deadLetterFilterOf(call.fields));
      const events = await call.atDesk(({ outbox }) => outbox[word](filter, call.operator));
      return { text: `${word}: ${events} events`, json: { events } };
    },
  };
}

export const DEAD_LETTER_COMMANDS: readonly Command[] = [
  list,
  change('requeue', 'publishes them again under the same ids; say which'),
  change('discard', 'forgets them for good; say which'),
];
