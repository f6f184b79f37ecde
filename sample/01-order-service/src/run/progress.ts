import { Presets, SingleBar } from 'cli-progress';

export interface ProgressOptions {
  readonly label: string;
  readonly total: number;
  readonly done: number;
}

/** Shows on stderr how far something is: a bar on a terminal, a line per tenth elsewhere. */
export interface Progress {
  update(done: number): void;
  stop(): void;
}

export function startProgress(
  options: ProgressOptions,
  stream: NodeJS.WriteStream = process.stderr,
): Progress {
  return stream.isTTY ? new BarProgress(options, stream) : new LineProgress(options, stream);
}

class BarProgress implements Progress {
  private readonly bar: SingleBar;

  constructor({ label, total, done }: ProgressOptions, stream: NodeJS.WriteStream) {
    const format = ` ${label} {bar} {percentage} % | {value}/{total} | {eta} s left`;
    // The application has its own way to end on Ctrl-C.
    this.bar = new SingleBar(
      { format, stream, barsize: 30, hideCursor: true, gracefulExit: false },
      Presets.shades_classic,
    );
    this.bar.start(total, done);
  }

  update(done: number): void {
    this.bar.update(done);
  }

  stop(): void {
    if (this.bar.isActive) this.bar.stop();
  }
}

class LineProgress implements Progress {
  private tenth: number;

  constructor(
    private readonly options: ProgressOptions,
    private readonly stream: NodeJS.WriteStream,
  ) {
    this.tenth = this.tenthOf(options.done);
  }

  update(done: number): void {
    const tenth = this.tenthOf(done);
    if (tenth === this.tenth) return;
    this.tenth = tenth;
    this.stream.write(`${this.options.label}: ${done} of ${this.options.total}\n`);
  }

  stop(): void {
    // Every line is complete as it is written.
  }

  private tenthOf(done: number): number {
    return Math.floor((done * 10) / Math.max(this.options.total, 1));
  }
}
