/** Headers that carry a trace from one process to another, such as `traceparent`. */
export type TraceHeaders = Readonly<Record<string, string>>;

export interface SpanStart {
  readonly name: string;
  /** Default `internal`. */
  readonly kind?: 'producer' | 'consumer';
  /** The span it hangs under. Default: the one that is active. */
  readonly parent?: TraceHeaders | undefined;
  /** It also goes on with the work of its parent, which has ended or was lost. */
  readonly continues?: boolean;
  readonly attributes: Readonly<Record<string, string | number>>;
}

/** A span that has begun. */
export interface OpenSpan {
  /** Carry it on, into other processes. */
  readonly headers: TraceHeaders;
  /** False when its trace is not: then spans below it are of no use. */
  readonly recorded: boolean;
  /** Begins a span below it. */
  child(start: Omit<SpanStart, 'parent' | 'continues'>): OpenSpan;
  /** Calls the work, once, in the moment of the call, while the span is the active one. */
  run<T>(work: () => T): T;
  /** @param error why it failed; undefined when it did not */
  end(error?: unknown): void;
}

/** What makes spans. */
export interface Tracer {
  /** Of the span that is active where this is called; none without one. */
  active(): TraceHeaders;
  begin(start: SpanStart): OpenSpan;
}

const NONE: TraceHeaders = Object.freeze({});

/** Where the parts of the library say what they do, so that it can be traced. Without a tracer nothing is made. */
export class Tracing {
  private tracer: Tracer | undefined;

  use(tracer: Tracer | undefined): void {
    this.tracer = tracer;
  }

  get on(): boolean {
    return this.tracer !== undefined;
  }

  /** Headers of the span that is active. */
  active(): TraceHeaders {
    try {
      return this.tracer?.active() ?? NONE;
    } catch {
      return NONE;
    }
  }

  /** Never throws: whoever is traced must not fail because of it. */
  begin(start: SpanStart): OpenSpan {
    try {
      if (this.tracer) return new SafeSpan(this.tracer.begin(start));
    } catch {
      // Then nothing of it is traced.
    }
    return untraced(start.parent ?? NONE);
  }

  /** Runs the work within a span that ends with it. */
  run<T>(start: SpanStart, work: () => Promise<T>): Promise<T> {
    return this.tracer ? spanning(this.begin(start), work) : work();
  }
}

/**
 * Runs the work within a span that ends with it.
 * @param thrownIn the error in a result, of work that does not throw it; default: there is none
 */
export async function spanning<T>(
  span: OpenSpan,
  work: () => Promise<T>,
  thrownIn: (result: T) => unknown = () => undefined,
): Promise<T> {
  try {
    const result = await span.run(work);
    span.end(thrownIn(result));
    return result;
  } catch (error) {
    span.end(error);
    throw error;
  }
}

/** What carries a trace on though nothing is traced here. */
function untraced(headers: TraceHeaders): OpenSpan {
  const span: OpenSpan = {
    headers,
    recorded: false,
    child: () => span,
    run: (work) => work(),
    end: () => undefined,
  };
  return span;
}

/** Of a tracer that fails only the trace is lost. */
class SafeSpan implements OpenSpan {
  readonly recorded: boolean;

  constructor(private readonly span: OpenSpan) {
    this.recorded = span.recorded;
  }

  get headers(): TraceHeaders {
    try {
      return this.span.headers;
    } catch {
      return NONE;
    }
  }

  child(start: Omit<SpanStart, 'parent' | 'continues'>): OpenSpan {
    try {
      return new SafeSpan(this.span.child(start));
    } catch {
      return untraced(NONE);
    }
  }

  run<T>(work: () => T): T {
    let called: { readonly result: T } | { readonly thrown: unknown } | undefined;
    const once = () => {
      called ??= attempt(work);
    };
    try {
      this.span.run(once);
    } catch {
      // Whatever the work did, it is told below.
    }
    called ??= attempt(work);
    if ('thrown' in called) throw called.thrown;
    return called.result;
  }

  end(error?: unknown): void {
    try {
      this.span.end(error);
    } catch {
      // There is nobody to tell.
    }
  }
}

function attempt<T>(work: () => T): { readonly result: T } | { readonly thrown: unknown } {
  try {
    return { result: work() };
  } catch (thrown) {
    return { thrown };
  }
}
