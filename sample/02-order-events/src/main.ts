import 'reflect-metadata';
import { prepareBroker } from './broker.js';
import { ConfigError, readConfig } from './config.js';
import { startServices } from './services.js';
import { tellStory } from './story.js';

try {
  const config = readConfig(process.env);
  await prepareBroker(config);
  const services = await startServices(config);
  await tellStory(services);
  const json = "-H 'content-type: application/json'";
  process.stdout.write(`
Listening, Ctrl-C ends it. Try
  curl -X POST ${services.orders}/orders ${json} -d '{"customer":"Eve","amount":1000}'
  curl -X POST ${services.orders}/orders/events/again
  curl ${services.billing}/bills
  curl ${services.mail}/mails
  curl ${services.orders}/metrics
`);
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
