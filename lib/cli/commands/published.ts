import { requireSaid } from '../../admin/event-filter.js';
import { sentFilterOf } from '../../admin/text-fields.js';
import type { Command } from '../command.js';
import { EVENT_OPTIONS } from './event-options.js';

const republish: Command = {
  name: 'published republish',
  summary: 'publishes kept events once more under the same ids; say which',
  parameters: [],
  options: {
    ...EVENT_OPTIONS,
    'sent-after': { value: 'DATE', help: 'such as 2026-11-27T08:30:00Z' },
    'sent-before': { value: 'DATE', help: 'the same' },
  },
  changes: true,
  async run(call) {
    const filter = requireSaid('republish', sentFilterOf(call.fields));
    const events = await call.atDesk(({ outbox }) => outbox.republish(filter, call.operator));
    return { text: `republish: ${events} events`, json: { events } };
  },
};

export const PUBLISHED_COMMANDS: readonly Command[] = [republish];
