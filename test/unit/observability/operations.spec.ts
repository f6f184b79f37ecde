import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { METRICS } from '../../../lib/observability/prometheus/metrics-table.js';
import { describeWith } from '../../support/requirement.js';

const run = promisify(execFile);

const DASHBOARD = 'docs/operations/grafana-dashboard.json';
const ALERTS = 'docs/operations/alerts.yml';
const ALERT_TESTS = 'docs/operations/alerts.test.yml';

/** Names of series that a metric has. */
const SERIES: ReadonlyMap<string, string> = new Map(
  METRICS.flatMap(({ name, type }) =>
    (type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']).map(
      (end) => [`${name}${end}`, name] as const,
    ),
  ),
);

const namesIn = (text: string) => new Set(text.match(/\bsagaz_\w+/g));

describe('(pitfall 23) what operators are given', () => {
  it.each([DASHBOARD, ALERTS, ALERT_TESTS])('names in %s only metrics that are exported', async (file) => {
    const names = [...namesIn(await readFile(file, 'utf8'))];
    expect(names.length).toBeGreaterThan(5);
    expect(names.filter((name) => !SERIES.has(name))).toEqual([]);
  });

  it('names only labels that the metrics have', async () => {
    const text = `${await readFile(DASHBOARD, 'utf8')} ${await readFile(ALERTS, 'utf8')}`;
    const used = [...text.matchAll(/(sagaz_\w+)\{(\w+)=/g)].map(([, series = '', label = '']) => [
      series,
      label,
    ]);
    expect(used.length).toBeGreaterThan(3);
    const unknown = used.filter(([series = '', label = '']) => {
      const metric = METRICS.find(({ name }) => name === SERIES.get(series));
      return !metric?.labels.includes(label);
    });
    expect(unknown).toEqual([]);
  });

  it('shows every metric on the dashboard', async () => {
    const shown = new Set([...namesIn(await readFile(DASHBOARD, 'utf8'))].map((name) => SERIES.get(name)));
    expect(METRICS.filter(({ name }) => !shown.has(name))).toEqual([]);
  });

  it('tests every alert', async () => {
    const alerts = [...(await readFile(ALERTS, 'utf8')).matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
    const tests = await readFile(ALERT_TESTS, 'utf8');
    const fired = [...tests.matchAll(/alertname: (\w+)\n\s+exp_alerts:/g)].map(([, name]) => name);
    expect(new Set(fired)).toEqual(new Set(alerts));
  });
});

describeWith('promtool', 'the alert rules', () => {
  const promtool = process.env['PROMTOOL'] ?? '';

  it('are rules that Prometheus takes', async () => {
    const { stdout } = await run(promtool, ['check', 'rules', ALERTS]);
    expect(stdout).toContain('SUCCESS');
  });

  it('fire when they should, and only then', async () => {
    const { stdout } = await run(promtool, ['test', 'rules', ALERT_TESTS]);
    expect(stdout).toContain('SUCCESS');
  });
});
