/** The command was called the wrong way: nothing was done. */
export class UsageError extends Error {}
