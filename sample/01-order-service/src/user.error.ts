/** A fault that the user can mend: printed as one message without a stack, then the process ends with `exitCode`. */
export class UserError extends Error {
  readonly exitCode: number = 1;
}
