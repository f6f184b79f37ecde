import type * as openTelemetry from '@opentelemetry/api';
import type { Context, Span, Tracer as ApiTracer } from '@opentelemetry/api';
import { errorText } from '../../runtime/error-text.js';
import type { OpenSpan, SpanStart, TraceHeaders, Tracer } from '../../runtime/tracing.js';

/** The API, which is loaded when it is needed. */
export type Api = Pick<
  typeof openTelemetry,
  'context' | 'propagation' | 'trace' | 'ROOT_CONTEXT' | 'SpanKind' | 'SpanStatusCode'
>;

/** Makes OpenTelemetry's spans; contexts travel in the headers of the application's propagator. */
export class OtelTracer implements Tracer {
  constructor(
    private readonly api: Api,
    private readonly tracer: ApiTracer,
  ) {}

  active(): TraceHeaders {
    return this.headersOf(this.api.context.active());
  }

  begin(start: SpanStart): OpenSpan {
    return this.open(start, this.contextOf(start.parent));
  }

  /** A span below the one of this context. */
  open({ name, kind, continues, attributes }: SpanStart, around: Context): OpenSpan {
    const { api } = this;
    const before = continues === true ? api.trace.getSpanContext(around) : undefined;
    const options = { kind: kindOf(api, kind), links: before ? [{ context: before }] : [], attributes };
    return new OtelSpan(this, api, this.tracer.startSpan(name, options, around), around);
  }

  /** Headers that name no trace leave what is active as the parent. */
  private contextOf(parent: TraceHeaders | undefined): Context {
    const { context, propagation, trace, ROOT_CONTEXT } = this.api;
    if (parent === undefined) return context.active();
    const told = propagation.extract(ROOT_CONTEXT, parent);
    return trace.getSpanContext(told) ? told : context.active();
  }

  headersOf(within: Context): TraceHeaders {
    const headers: Record<string, string> = {};
    this.api.propagation.inject(within, headers);
    return headers;
  }
}

/** A span of the SDK, with the context in which it is the active one. */
class OtelSpan implements OpenSpan {
  readonly recorded: boolean;
  private readonly within: Context;

  constructor(
    private readonly tracer: OtelTracer,
    private readonly api: Api,
    private readonly span: Span,
    around: Context,
  ) {
    this.recorded = span.isRecording();
    this.within = api.trace.setSpan(around, span);
  }

  get headers(): TraceHeaders {
    return this.tracer.headersOf(this.within);
  }

  child(start: SpanStart): OpenSpan {
    return this.tracer.open(start, this.within);
  }

  run<T>(work: () => T): T {
    return this.api.context.with(this.within, work);
  }

  end(error?: unknown): void {
    if (error !== undefined) {
      const exception = exceptionOf(error);
      this.span.recordException(exception);
      this.span.setStatus({ code: this.api.SpanStatusCode.ERROR, message: exception.message });
    }
    this.span.end();
  }
}

function kindOf({ SpanKind }: Api, kind: SpanStart['kind']) {
  if (kind === undefined) return SpanKind.INTERNAL;
  return kind === 'producer' ? SpanKind.PRODUCER : SpanKind.CONSUMER;
}

/** An error, or what is stored of one. */
function exceptionOf(error: unknown): { readonly name: string; readonly message: string } {
  const { code, message } = (error ?? {}) as { readonly code?: unknown; readonly message?: unknown };
  return {
    name: typeof code === 'string' ? code : 'Error',
    message: typeof message === 'string' ? message : errorText(error),
  };
}
