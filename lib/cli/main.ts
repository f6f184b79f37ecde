#!/usr/bin/env node
import { run } from './run.js';

/** Whoever read has read enough, such as `head`: nothing that was done is undone by it. */
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });

void run(process.argv.slice(2), {
  env: process.env,
  styled: process.stdout.isTTY && !process.env['NO_COLOR'],
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
}).then((code) => {
  process.exitCode = code;
});
