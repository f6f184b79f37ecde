import type { CommandOption } from '../command.js';

/** Which events, in every command that changes or lists some. */
export const EVENT_OPTIONS: Readonly<Record<string, CommandOption>> = {
  event: { value: 'ID', help: 'id of an event', multiple: true },
  destination: { value: 'NAME', help: 'where it was to go' },
  type: { value: 'TYPE', help: 'type of the event' },
  key: { value: 'KEY', help: 'its ordering key' },
};
