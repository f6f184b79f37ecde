/** Base of every error of this library. `code` is stable: match on it, not on the message. */
export abstract class SagazError extends Error {
  abstract readonly code: string;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** Base of errors that Nest answers with their own HTTP status, without a filter. */
export abstract class SagazHttpError extends SagazError {
  abstract readonly status: number;
  readonly expose = true;

  get statusCode(): number {
    return this.status;
  }
}
