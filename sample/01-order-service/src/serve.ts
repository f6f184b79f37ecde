import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { styleText } from 'node:util';
import type { INestApplication } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { ShutdownError } from 'nestjs-sagaz';
import { AppConfig } from './config.js';
import { createApp } from './create-app.js';
import { CurrentShop, SHOP_PREFIX } from './datasets/current-shop.js';
import { DatasetsService } from './datasets/datasets.service.js';
import { OrdersService } from './orders/orders.service.js';
import { storyOrders } from './seed/story-orders.js';
import { StoryTeller } from './story/story-teller.js';
import { UserError } from './user.error.js';

/** `npm start`: a few orders told step by step, then HTTP until it is stopped. */
export async function serve(): Promise<number> {
  const app = await createApp();
  app.enableShutdownHooks(undefined, { useProcessExit: true });
  try {
    await openAndTell(app);
  } catch (error) {
    // Stopped in the middle: the saga in work goes on at the next start.
    if (error instanceof ShutdownError) return 0;
    await app.close();
    throw error;
  }
  return 0;
}

async function openAndTell(app: INestApplication): Promise<void> {
  const address = await listen(app);
  const dataset = await openShop(app);
  await app.get(StoryTeller).tell(dataset);
  process.stdout.write(invitation(address));
  PinoLogger.root.level = app.get(AppConfig).logLevel ?? 'info';
  await app.get(OrdersService).settleLeftovers(SHOP_PREFIX);
}

/** Every start opens a shop of its own, so that the story is the same each time. */
async function openShop(app: INestApplication): Promise<string> {
  const dataset = `${SHOP_PREFIX}${new Date().toISOString()}`;
  await app.get(DatasetsService).load(dataset, storyOrders());
  app.get(CurrentShop).open(dataset);
  return dataset;
}

async function listen(app: INestApplication): Promise<string> {
  const { port } = app.get(AppConfig);
  try {
    // Not app.listen(): that would log the fault as well, before we can say what to do.
    const server = app.getHttpServer() as Server;
    server.listen(port);
    await once(server, 'listening');
    return `http://localhost:${(server.address() as AddressInfo).port}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    throw new UserError(`Port ${port} is in use; choose another: PORT=${port + 1} npm start`);
  }
}

function invitation(address: string): string {
  const body = JSON.stringify({
    customerId: 'ADA',
    shippedDate: '2026-12-24',
    lines: [{ productId: 1, quantity: 2 }],
  });
  const post = `curl -X POST ${address}/orders -H 'content-type: application/json' -d '${body}'`;
  const lines = [post, `curl ${address}/orders/1`, `curl ${address}/stock`, `curl ${address}/metrics`];
  const title = styleText('bold', `Listening on ${styleText('cyan', address)}, Ctrl-C ends it. Try`);
  return `\n${title}\n${lines.map((line) => `  ${line}`).join('\n')}\n`;
}
