export interface MermaidNode {
  readonly name: string;
  /** Text in the box. Default: the name. */
  readonly label?: string;
  /** Drawn as a point of no return. */
  readonly pivot?: boolean;
}

/** A flowchart in Mermaid's language. Names may be anything: they are numbered, and only their labels are shown. */
export function mermaid(
  nodes: readonly MermaidNode[],
  edges: readonly (readonly [string, string])[],
): string {
  const ids = new Map(nodes.map(({ name }, index) => [name, `s${index}`]));
  const boxes = nodes.map(({ name, label = name, pivot }) => {
    const text = `"${label.replaceAll('"', '#quot;')}"`;
    return `  ${ids.get(name)}${pivot ? `{{${text}}}` : `[${text}]`}`;
  });
  const arrows = edges.map(([from, to]) => `  ${ids.get(from)} --> ${ids.get(to)}`);
  return ['flowchart LR', ...boxes, ...arrows].join('\n');
}
