const w3c = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/**
 * The client's W3C trace context if it is valid, else a new one.
 * @param randomHex at least 48 random hex digits
 */
export const traceparentOf = (header: unknown, randomHex: () => string): string =>
  typeof header === 'string' && w3c.test(header) ? header : fresh(randomHex());

const fresh = (hex: string): string => `00-${hex.slice(0, 32)}-${hex.slice(32, 48)}-01`;
