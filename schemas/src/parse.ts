import type { z } from 'zod';

export type Parsed<T> = { ok: true; value: T } | { ok: false; problem: string };

const decoder = new TextDecoder('utf-8', { fatal: true });

/** Parses one message from the wire. The problem names every field at fault, and carries no content of the message. */
export function parseMessage<T>(schema: z.ZodType<T>, data: Uint8Array): Parsed<T> {
  let json: unknown;
  try {
    json = JSON.parse(decoder.decode(data));
  } catch {
    return { ok: false, problem: 'not JSON' };
  }
  return parseValue(schema, json);
}

/** Parses an already decoded value. */
export function parseValue<T>(schema: z.ZodType<T>, value: unknown): Parsed<T> {
  const result = schema.safeParse(value);
  if (result.success) return { ok: true, value: result.data };
  return { ok: false, problem: describeIssues(result.error.issues) };
}

const describeIssues = (issues: readonly z.core.$ZodIssue[]): string =>
  issues.map((issue) => `${issue.path.join('.') || '(whole)'}: ${issue.message}`).join('; ');
