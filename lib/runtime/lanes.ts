/** Runs work of the same name one after the other, of different names at the same time. */
export class Lanes {
  private readonly last = new Map<string, Promise<void>>();

  /** @param work never rejects */
  run(name: string, work: () => Promise<void>): void {
    const mine = (this.last.get(name) ?? Promise.resolve()).then(work).then(() => {
      if (this.last.get(name) === mine) this.last.delete(name);
    });
    this.last.set(name, mine);
  }

  /** Resolves when what is under way now has ended. */
  async settled(): Promise<void> {
    await Promise.all(this.last.values());
  }
}
