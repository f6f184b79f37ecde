// npm run services:down: stops what services:up has started, and nothing else.
import { execFileSync } from 'node:child_process';
import { stopKafka } from './kafka.mjs';
import { COMPOSE_FILE, forgetStarted, readStarted } from './started.mjs';

for (const [name, { container, pid, folder }] of Object.entries(readStarted())) {
  if (container) execFileSync('docker', ['compose', '--file', COMPOSE_FILE, 'rm', '--stop', '--force', name]);
  else if (folder) await stopKafka({ pid, folder });
  else stopGroup(pid);
  process.stdout.write(`${name.padEnd(9)} stopped\n`);
}
forgetStarted();

/** RabbitMQ's program is a script around the server. */
function stopGroup(pid) {
  try {
    process.kill(-pid, 'SIGTERM');
  } catch {
    // It has ended.
  }
}
