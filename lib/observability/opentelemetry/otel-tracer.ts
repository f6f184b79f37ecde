import type * as openTelemetry from '@opentelemetry/api';
import type { Context, Tracer as ApiTracer } from '@opentelemetry/api';
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

  private open({ name, kind, continues, attributes }: SpanStart, around: Context): OpenSpan {
    const { trace, context, SpanKind, SpanStatusCode } = this.api;
    const before = continues === true ? trace.getSpanContext(around) : undefined;
    const span = this.tracer.startSpan(
      name,
      {
        kind:
          kind === undefined ? SpanKind.INTERNAL : SpanKind[kind === 'producer' ? 'PRODUCER' : 'CONSUMER'],
        links: before ? [{ context: before }] : [],
        attributes,
      },
      around,
    );
    const within = trace.setSpan(around, span);
    const headersOf = () => this.headersOf(within);
    return {
      recorded: span.isRecording(),
      child: (start) => this.open(start, within),
      get headers() {
        return headersOf();
      },
      run: (work) => context.with(within, work),
      end(error) {
        if (error !== undefined) {
          const exception = exceptionOf(error);
          span.recordException(exception);
          span.setStatus({ code: SpanStatusCode.ERROR, message: exception.message });
        }
        span.end();
      },
    };
  }

  /** Headers that name no trace leave what is active as the parent. */
  private contextOf(parent: TraceHeaders | undefined): Context {
    const { context, propagation, trace, ROOT_CONTEXT } = this.api;
    if (parent === undefined) return context.active();
    const told = propagation.extract(ROOT_CONTEXT, parent);
    return trace.getSpanContext(told) ? told : context.active();
  }

  private headersOf(within: Context): TraceHeaders {
    const headers: Record<string, string> = {};
    this.api.propagation.inject(within, headers);
    return headers;
  }
}

/** An error, or what is stored of one. */
function exceptionOf(error: unknown): { readonly name: string; readonly message: string } {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  return {
    name: typeof code === 'string' ? code : 'Error',
    message: typeof message === 'string' ? message : errorText(error),
  };
}
