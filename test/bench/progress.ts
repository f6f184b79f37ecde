import { Presets, SingleBar } from 'cli-progress';

/** Tells on stderr how far a bench is. */
export interface Progress {
  start(steps: number): void;
  /** One more is done. */
  step(label: string): void;
  stop(): void;
}

/** A bar on a terminal, a line per step elsewhere. */
export function progressOn(stream: NodeJS.WriteStream): Progress {
  return stream.isTTY ? barOn(stream) : linesOn(stream);
}

function barOn(stream: NodeJS.WriteStream): Progress {
  const format = ' {bar} {percentage} % | {eta} s left | {label}';
  const bar = new SingleBar({ format, stream, barsize: 30, clearOnComplete: true }, Presets.shades_classic);
  return {
    start: (steps) => bar.start(steps, 0, { label: '' }),
    step: (label) => bar.increment({ label }),
    stop: () => bar.stop(),
  };
}

function linesOn(stream: NodeJS.WriteStream): Progress {
  let total = 0;
  let done = 0;
  return {
    start(steps) {
      total = steps;
      done = 0;
    },
    step: (label) => void stream.write(`${++done} of ${total}: ${label}\n`),
    stop: () => undefined,
  };
}
