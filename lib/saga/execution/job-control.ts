/**
 * Tells one running action or undo that it should end. Most jobs are never told, so this is a plain object with one
 * listener, the attempt or the pause that is under way, and not an AbortSignal.
 */
export class JobControl {
  private cause: { readonly reason: Error } | undefined;
  private attempts = true;
  private listener: (() => void) | undefined;

  /** False once no further attempt may begin and no pause is worth waiting for. */
  get mayContinue(): boolean {
    return this.attempts;
  }

  /** The reason is what `ctx.signal` of the handler gives. */
  get aborted(): { readonly reason: Error } | undefined {
    return this.cause;
  }

  /** What runs may end by itself; then the job ends. */
  finish(): void {
    this.attempts = false;
    this.listener?.();
  }

  /** What runs has to end. The first reason counts. */
  abort(reason: Error): void {
    this.cause ??= { reason };
    this.finish();
  }

  /** Calls back when the job is told anything. @returns a function that ends that */
  listen(listener: () => void): () => void {
    this.listener = listener;
    return () => {
      if (this.listener === listener) this.listener = undefined;
    };
  }
}
