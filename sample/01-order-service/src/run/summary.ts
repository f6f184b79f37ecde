/** How a run over a dataset stands; also what `--json` writes. */
export interface Summary {
  readonly orders: number;
  readonly completed: number;
  readonly outOfStock: number;
  readonly creditRefused: number;
  readonly carrierRefused: number;
  /** Units of all products. */
  readonly stockLeft: number;
  /** Decimal text with two places: the totals of the completed orders. */
  readonly revenue: string;
  /** Distinct orders whose `order.completed` reached the handler. */
  readonly published: number;
  /** Orders in a state that a run should not leave them in, by state. */
  readonly others: Readonly<Record<string, number>>;
}

/** JSON with `revenue` as a number that keeps its two decimals, which `JSON.stringify` would shorten. */
export function summaryJson({ others: _others, ...figures }: Summary, seconds: number): string {
  const text = JSON.stringify({ ...figures, seconds }, null, 2);
  return `${text.replace(/("revenue": )"([^"]+)"/, '$1$2')}\n`;
}

const LABELS: readonly (readonly [Exclude<keyof Summary, 'others'>, string])[] = [
  ['orders', 'orders'],
  ['completed', 'completed'],
  ['outOfStock', 'out of stock'],
  ['creditRefused', 'credit refused'],
  ['carrierRefused', 'carrier refused'],
  ['stockLeft', 'stock left'],
  ['revenue', 'revenue'],
  ['published', 'events published'],
];

export function summaryTable(summary: Summary, seconds: number): string {
  const others = Object.entries(summary.others).map(([state, count]) => [state, String(count)] as const);
  const rows = [...LABELS.map(([key, label]) => [label, String(summary[key])] as const), ...others];
  rows.push(['seconds', String(seconds)]);
  return rows.map(([label, value]) => `  ${label.padEnd(18)}${value.padStart(12)}`).join('\n');
}
