export interface Load {
  /** Pieces of work that are under way at the same time. */
  readonly atOnce: number;
  /** Nothing new is begun after this time. */
  readonly ms: number;
}

/** Does a piece of work again and again and waits for the last one. @returns pieces per second */
export async function rateOf(work: () => Promise<void>, { atOnce, ms }: Load): Promise<number> {
  const start = performance.now();
  let done = 0;
  const lane = async () => {
    do {
      await work();
      done++;
    } while (performance.now() < start + ms);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return (done * 1_000) / (performance.now() - start);
}
