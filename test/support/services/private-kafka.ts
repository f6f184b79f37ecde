import { freePort } from './free-port.js';
import { launchKafka, startKafka, stopKafka, type KafkaNode } from './kafka.mjs';

export interface PrivateKafkaOptions {
  readonly port?: number;
  /** Further listeners: name, protocol, where it listens and, where that differs, what clients are told. */
  readonly listeners?: readonly KafkaEntrance[];
  /** What clients of the plain listener are told. */
  readonly advertised?: string;
  readonly settings?: Readonly<Record<string, string>>;
}

export interface KafkaEntrance {
  readonly name: string;
  readonly protocol: 'PLAINTEXT' | 'SASL_PLAINTEXT';
  readonly port: number;
  readonly advertisedPort?: number;
}

/** A Kafka of one's own, which may be killed and started again on its data. It takes several seconds to start. */
export class PrivateKafka {
  private constructor(
    readonly port: number,
    private node: KafkaNode,
  ) {}

  static async start(options: PrivateKafkaOptions = {}): Promise<PrivateKafka> {
    const { port = await freePort(), listeners = [], advertised = `127.0.0.1:${port}` } = options;
    const controller = `127.0.0.1:${await freePort()}`;
    const own = listeners.map(({ name, port: at }) => `${name}://127.0.0.1:${at}`);
    const told = listeners.map(
      ({ name, port: at, advertisedPort = at }) => `${name}://127.0.0.1:${advertisedPort}`,
    );
    const protocols = listeners.map(({ name, protocol }) => `${name}:${protocol}`);
    const settings = {
      listeners: [`PLAINTEXT://127.0.0.1:${port}`, ...own, `CONTROLLER://${controller}`].join(),
      'advertised.listeners': [`PLAINTEXT://${advertised}`, ...told].join(),
      'listener.security.protocol.map': ['PLAINTEXT:PLAINTEXT', 'CONTROLLER:PLAINTEXT', ...protocols].join(),
      'controller.quorum.bootstrap.servers': controller,
      ...options.settings,
    };
    return new PrivateKafka(port, await startKafka({ port, settings }));
  }

  get brokers(): string[] {
    return [`127.0.0.1:${this.port}`];
  }

  /** kill -9. */
  kill(): Promise<void> {
    process.kill(this.node.pid, 'SIGKILL');
    return Promise.resolve();
  }

  async up(): Promise<void> {
    this.node = await launchKafka(this.node.folder);
  }

  async remove(): Promise<void> {
    await stopKafka(this.node);
  }
}
