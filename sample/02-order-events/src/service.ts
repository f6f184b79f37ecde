import 'reflect-metadata';
import { readConfig, SERVICES } from './config.js';
import { startService } from './start-service.js';

/** One service as a process of its own: `node service.js billing`. */
const service = SERVICES.find((name) => name === process.argv[2]);
if (!service) throw new Error(`expected one of ${SERVICES.join(', ')}, got "${process.argv[2]}"`);

const { url } = await startService(readConfig(process.env), [service]);
process.send?.({ url });
