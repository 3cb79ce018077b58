import { z } from 'zod';
import { type Channel, channels, type Role } from './contract.ts';
import { natsHeaders } from './headers.ts';

/** Files of `schemas/json`, by name, as text: JSON Schema per message and one AsyncAPI document of the whole wire. */
export function documents(): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const [name, channel] of Object.entries(channels)) {
    files.set(
      `${name}.schema.json`,
      text({ title: name, description: channel.summary, ...messageSchema(channel) }),
    );
  }
  files.set('asyncapi.json', text(asyncApi()));
  return files;
}

const text = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** What a sender has to write: fields with a default may be left out. */
const messageSchema = (channel: Channel) => z.toJSONSchema(channel.message, { io: 'input' });

/** AsyncAPI 3: https://www.asyncapi.com/docs/reference/specification/v3.0.0 */
function asyncApi() {
  const entries: [string, Channel][] = Object.entries(channels);
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Drover',
      version: '1.0.0',
      description:
        'Everything that Drover says on NATS, for producers and agents in any language. Generated from schemas/src.',
      license: { name: 'Apache-2.0' },
    },
    defaultContentType: 'application/json',
    channels: Object.fromEntries(
      entries.map(([name, channel]) => [
        name,
        {
          address: channel.address,
          description: channel.summary,
          ...(channel.stream === null ? {} : { 'x-jetstream-stream': channel.stream }),
          parameters: parametersOf(channel.address),
          messages: { [name]: { $ref: `#/components/messages/${name}` } },
        },
      ]),
    ),
    operations: Object.fromEntries(
      entries.flatMap(([name, channel]) => [
        ...channel.sentBy.map((role) => operation('send', role, name)),
        ...channel.receivedBy.map((role) => operation('receive', role, name)),
      ]),
    ),
    components: {
      messages: Object.fromEntries(
        entries.map(([name, channel]) => [
          name,
          {
            name,
            summary: channel.summary,
            contentType: 'application/json',
            headers: {
              type: 'object',
              properties: { [natsHeaders.traceparent]: { type: 'string', description: 'W3C trace context' } },
            },
            payload: withoutDialect(messageSchema(channel)),
          },
        ]),
      ),
    },
  };
}

const operation = (action: 'send' | 'receive', role: Role, channel: string) => [
  `${role}-${action}s-${channel}`,
  {
    action,
    channel: { $ref: `#/channels/${channel}` },
    summary: `${role} ${action}s ${channel}`,
    messages: [{ $ref: `#/channels/${channel}/messages/${channel}` }],
  },
];

const parametersOf = (address: string) =>
  Object.fromEntries(
    [...address.matchAll(/\{(\w+)\}/g)].map(([, name]) => [
      name,
      { description: `One token of the subject: the ${name}.` },
    ]),
  );

function withoutDialect(schema: Record<string, unknown>): Record<string, unknown> {
  const { $schema: _, ...rest } = schema;
  return rest;
}
