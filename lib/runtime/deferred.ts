/** A promise that is settled from outside. A rejection that nobody awaits yet does not end the process. */
export class Deferred<T> {
  readonly promise: Promise<T>;
  resolve!: (value: T) => void;
  private fail!: (reason: unknown) => void;

  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.resolve = resolve;
      this.fail = reject;
    });
  }

  reject(reason: unknown): void {
    this.promise.catch(() => undefined);
    this.fail(reason);
  }
}
