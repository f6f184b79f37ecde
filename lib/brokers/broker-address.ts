import { show, type Reader } from '../runtime/readers.js';

/** Where a broker is: for connecting, and for people, who are not shown what lets one in. */
export class BrokerAddress {
  /** Such as `amqp://host:5672/vhost`. */
  readonly place: string;
  private readonly secrets: readonly string[];

  constructor(readonly url: URL) {
    this.place = `${url.protocol}//${url.host}${url.pathname === '/' ? '' : url.pathname}`;
    this.secrets = [decoded(url.password), url.password, url.search.slice(1)].filter((text) => text !== '');
  }

  /** A text of a client or server without the secrets of this address. */
  hide(text: string): string {
    return this.secrets.reduce((shown, secret) => shown.replaceAll(secret, '***'), text);
  }
}

/** A URL of one of these protocols; what was written instead is never shown. */
export function brokerAddress(...protocols: readonly string[]): Reader<BrokerAddress | undefined> {
  const expected = `a URL that begins with ${protocols.map((name) => `${name}://`).join(' or ')}`;
  return (value, place) => {
    const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined;
    if (url && url.hostname !== '' && protocols.includes(url.protocol.slice(0, -1)))
      return new BrokerAddress(url);
    place.fault(`expected ${expected}, got ${typeof value === 'string' ? 'a text' : show(value)}`);
    return undefined;
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
