/** What every table of events has, in this order. */
export const EVENT_COLUMNS =
  'shard, event_id, destination, type, key, aggregate_type, aggregate_id, payload, headers';
