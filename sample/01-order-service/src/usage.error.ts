import { UserError } from './user.error.js';

/** The command was called the wrong way. */
export class UsageError extends UserError {
  override readonly exitCode = 2;
}
