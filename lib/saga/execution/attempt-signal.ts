/** The signal of one attempt, made when the handler asks for it: most never do. */
export class AttemptSignal {
  private controller: AbortController | undefined;
  private cause: { readonly reason: Error } | undefined;

  get signal(): AbortSignal {
    if (!this.controller) {
      this.controller = new AbortController();
      if (this.cause) this.controller.abort(this.cause.reason);
    }
    return this.controller.signal;
  }

  /** Undefined while the attempt may go on. */
  get aborted(): { readonly reason: Error } | undefined {
    return this.cause;
  }

  /** The first reason counts. */
  abort(reason: Error): void {
    if (this.cause) return;
    this.cause = { reason };
    this.controller?.abort(reason);
  }
}
