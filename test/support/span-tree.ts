/** A span as a test looks at it. */
export interface SeenSpan {
  readonly name: string;
  readonly spanId: string;
  readonly parentId: string | undefined;
  /** Milliseconds since the epoch. */
  readonly startMs: number;
}

/**
 * The spans of one trace, each below its parent and indented by one more; those of one parent in the order of their times. What
 * hangs under a span that nobody has exported begins with a question mark.
 */
export function treeOf(spans: readonly SeenSpan[]): string[] {
  const known = new Set(spans.map(({ spanId }) => spanId));
  const roots = spans.filter(({ parentId }) => parentId === undefined || !known.has(parentId));
  const below = (parent: SeenSpan, depth: number): string[] => {
    const children = spans.filter(({ parentId }) => parentId === parent.spanId);
    const lost = depth === 0 && parent.parentId !== undefined ? '? ' : '';
    const line = `${'  '.repeat(depth)}${lost}${parent.name}`;
    return [line, ...inTime(children).flatMap((child) => below(child, depth + 1))];
  };
  return inTime(roots).flatMap((root) => below(root, 0));
}

function inTime(spans: readonly SeenSpan[]): readonly SeenSpan[] {
  return spans.toSorted((a, b) => a.startMs - b.startMs);
}
