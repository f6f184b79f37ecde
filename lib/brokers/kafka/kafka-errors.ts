import type { PublishOutcome } from '../../events/publish.js';
import { errorText } from '../../runtime/error-text.js';
import { BrokerUnavailableError } from '../../saga/state/errors.js';
import { rejected } from '../outcomes.js';
import type { ResolvedKafkaOptions } from './kafka-options.js';

const REFUSALS =
  /SASL|CLUSTER_AUTHORIZATION_FAILED|UNSUPPORTED_VERSION|authentication failed|CERT|SELF_SIGNED|self.signed|ERR_TLS|ERR_SSL/i;

export const TOO_LARGE = rejected('too_large');

const REJECTIONS: Readonly<Record<string, PublishOutcome>> = {
  UNKNOWN_TOPIC_OR_PARTITION: rejected('unknown_topic'),
  INVALID_TOPIC_EXCEPTION: rejected('unknown_topic'),
  TOPIC_AUTHORIZATION_FAILED: rejected('unauthorised'),
  MESSAGE_TOO_LARGE: TOO_LARGE,
  RECORD_LIST_TOO_LARGE: TOO_LARGE,
};

/** What the cluster said, such as `MESSAGE_TOO_LARGE`; undefined when it said nothing: the connection is at fault. */
export function answerOf(error: unknown): string | undefined {
  for (let one = error; one instanceof Error; one = one.cause) {
    const { type } = one as { type?: unknown };
    if (typeof type === 'string') return type;
  }
  return undefined;
}

/** What this answer means for the only topic that was sent to. */
export function rejectionOf(answer: string): PublishOutcome | undefined {
  return REJECTIONS[answer];
}

/** Too few copies would be kept of anything: no event's fault. */
export function isStarved(answer: string): boolean {
  return answer.startsWith('NOT_ENOUGH_REPLICAS');
}

/** The error to tell of, without credentials. */
export function unavailable({ brokers, sasl }: ResolvedKafkaOptions, error: unknown): BrokerUnavailableError {
  if (error instanceof BrokerUnavailableError) return error;
  const { password, secretAccessKey } = Object(sasl) as { password?: string; secretAccessKey?: string };
  const text = [password, secretAccessKey]
    .filter((secret) => secret !== undefined && secret !== '')
    .reduce<string>((shown, secret = '') => shown.replaceAll(secret, '***'), errorText(error));
  const refused = REFUSALS.test(`${answerOf(error) ?? ''} ${text}`);
  return new BrokerUnavailableError(brokers ? `Kafka at ${brokers.join(', ')}` : 'Kafka', text, refused);
}
