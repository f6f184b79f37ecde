/** W3C Trace Context §3.2: version, trace id, parent id, flags. */
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/;
/** The same in JSON text, with the flag that says that the trace is recorded. */
const SAMPLED = /"traceparent":"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f][13579bdf]/;

/** Of the trace that headers belong to; undefined when they name none. */
export function traceIdOf(headers: Readonly<Record<string, string>> | undefined): string | undefined {
  return TRACEPARENT.exec(headers?.['traceparent'] ?? '')?.[1];
}

/** Whether headers, as JSON text, belong to a trace that is recorded. */
export function isSampled(headers: string): boolean {
  return SAMPLED.test(headers);
}
