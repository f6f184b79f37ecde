import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';

const LOCAL = {
  RABBITMQ_URL: { port: 5672, value: 'amqp://guest:guest@127.0.0.1:5672' },
  REDIS_URL: { port: 6379, value: 'redis://127.0.0.1:6379' },
  KAFKA_BROKERS: { port: 9092, value: '127.0.0.1:9092' },
};

/** Where Debian has programs themselves; those on the path insist on the user and the node of the system. */
const PROGRAMS = {
  RABBITMQ_SERVER: ['/usr/lib/rabbitmq/bin/rabbitmq-server', 'rabbitmq-server'],
  REDIS_SERVER: ['/usr/bin/redis-server', 'redis-server'],
  OPENSSL: ['/usr/bin/openssl', 'openssl'],
  PROMTOOL: ['/usr/bin/promtool', 'promtool'],
};

/**
 * Sets the variable of each broker that is not set, if something listens on its usual port of this machine; and where the
 * programs are of which tests start servers of their own.
 */
export async function findBrokers(environment = process.env) {
  for (const [variable, { port, value }] of Object.entries(LOCAL)) {
    if (!environment[variable] && (await listens(port))) environment[variable] = value;
  }
  for (const [variable, [usual, name]] of Object.entries(PROGRAMS)) {
    environment[variable] ||= fs.existsSync(usual) ? usual : (onPath(name) ?? '');
  }
}

function onPath(name) {
  try {
    return execFileSync('which', [name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}

/** Whether somebody listens on this port of this machine. */
export async function listens(port) {
  const socket = net.connect({ port, host: '127.0.0.1', timeout: 2_000 });
  try {
    await Promise.race([once(socket, 'connect'), once(socket, 'timeout').then(() => Promise.reject())]);
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
