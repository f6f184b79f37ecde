import { batchCommand } from './run/batch-command.js';
import { runMain } from './run-main.js';

await runMain(() => batchCommand(process.argv.slice(2)));
