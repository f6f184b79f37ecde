/** Lets one piece of work run at a time, in the order of the calls. */
export class Turn {
  private last: Promise<unknown> | undefined;

  /** Begins at once when nothing is running. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.last === undefined ? work() : this.last.then(work, work);
    const end = () => {
      if (this.last === mine) this.last = undefined;
    };
    this.last = mine;
    mine.then(end, end);
    return mine;
  }
}
