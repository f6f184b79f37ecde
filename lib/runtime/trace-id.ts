/** W3C Trace Context §3.2: version, trace id, parent id, flags. */
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/;

/** Of the trace that headers belong to; undefined when they name none. */
export function traceIdOf(headers: Readonly<Record<string, string>> | undefined): string | undefined {
  return TRACEPARENT.exec(headers?.['traceparent'] ?? '')?.[1];
}
