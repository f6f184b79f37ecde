import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

// npm run test:chaos [-- --full] [-- --table FILE] [-- --write] [-- spec ...]
// --write measures how often scenarios reach each point, plans by that and writes the table into the documentation.
const { values, positionals } = parseArgs({
  options: {
    full: { type: 'boolean', default: false },
    table: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});
const jest = [
  '--experimental-vm-modules',
  '--disable-warning=ExperimentalWarning',
  'node_modules/jest/bin/jest.js',
];
const { status } = spawnSync(
  process.execPath,
  [...jest, '-c', 'test/chaos/jest.config.mjs', ...positionals],
  {
    stdio: 'inherit',
    env: {
      ...process.env,
      ...(values.full && { CHAOS_FULL: '1' }),
      ...(values.write && { CHAOS_WRITE: '1' }),
      ...(values.table !== undefined && { CHAOS_TABLE: values.table }),
    },
  },
);
process.exitCode = status ?? 1;
