import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { NextFunction, Request, Response } from 'express';

/**
 * Express middleware: each request is a span, in the trace of its caller, and what it does hangs under it. Small, so that the
 * sample needs no loader; an application has `@opentelemetry/instrumentation-http` for it.
 */
export function requestSpan(request: Request, response: Response, next: NextFunction): void {
  const { method, path } = request;
  const caller = propagation.extract(context.active(), request.headers);
  const attributes = { 'http.request.method': method, 'url.path': path };
  const span = trace
    .getTracer('http')
    .startSpan(`${method} ${path}`, { kind: SpanKind.SERVER, attributes }, caller);
  response.once('close', () => {
    span.setAttribute('http.response.status_code', response.statusCode);
    if (response.statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
    span.end();
  });
  context.with(trace.setSpan(caller, span), next);
}
