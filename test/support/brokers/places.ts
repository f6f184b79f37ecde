/** The event type that the servers of killed-server.ts are set up for, and the place of its dead letters. */
export const TYPE = 'counted';
export const DEAD = 'counted.dead-letter';
/** The consumer group, or queue, of those who take part. */
export const GROUP = 'takers';
