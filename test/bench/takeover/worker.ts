import { DurableWorker } from './durable-worker.js';

// A process that runs sagas of two steps; the second one of a saga that names this process never ends here.
const worker = await DurableWorker.open(process.argv[2] ?? '');
process.on('message', () => void worker.start());
process.on('disconnect', () => void worker.close());
process.send?.({ kind: 'ready' });
