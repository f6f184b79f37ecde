export interface KafkaNode {
  readonly pid: number;
  readonly folder: string;
}

export function kafkaJars(): Promise<string>;
export function startKafka(options?: {
  port?: number;
  settings?: Record<string, string>;
}): Promise<KafkaNode>;
export function launchKafka(folder: string): Promise<KafkaNode>;
export function stopKafka(node: KafkaNode): Promise<void>;
