import { runMain } from './run-main.js';
import { serve } from './serve.js';

await runMain(serve);
