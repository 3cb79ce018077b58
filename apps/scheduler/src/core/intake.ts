import {
  type Arm,
  type Catalogue,
  type FailureCode,
  parseMessage,
  type Request,
  request,
  requestIdOf,
  resolveModel,
  subjectOfRequest,
  subjects,
  tokenOf,
} from '@drover/schemas';
import { prefixOf } from './prefix.ts';
import { promptTokens } from './prompt-tokens.ts';
import type { Waiting } from './types.ts';
import { armOf, variantNamed } from './variants.ts';

/** A message of LLM_REQUESTS. */
export type Incoming = {
  readonly subject: string;
  readonly data: Uint8Array;
  /** When the stream stored it, by the hub's clock. */
  readonly storedAtMs: number;
  readonly traceparent?: string;
};

export type Intake =
  | { readonly kind: 'waiting'; readonly waiting: Waiting }
  /** It will never run, whatever the fleet. */
  | {
      readonly kind: 'refused';
      readonly waiting: Waiting;
      readonly code: FailureCode;
      readonly message: string;
    }
  /** Nobody can know what it asks for. */
  | { readonly kind: 'invalid'; readonly problem: string };

/**
 * Turns a message into a request that waits, with its model's own name in place of an alias or a variant. Without a catalogue
 * every model name is taken as it is.
 */
export function takeIn(incoming: Incoming, catalogue: Catalogue | undefined, nowMs: number): Intake {
  const parsed = parseMessage(request, incoming.data);
  if (!parsed.ok) return { kind: 'invalid', problem: parsed.problem };
  const asked = parsed.value;
  const problem = contradiction(incoming.subject, asked);
  if (problem) return { kind: 'invalid', problem };

  const variant = catalogue && variantNamed(catalogue, asked.body.model);
  const arm = variant && armOf(variant, asked);
  const model = catalogue && resolveModel(catalogue, arm?.model ?? asked.body.model);
  const waiting = asWaiting(withModel(asked, model?.name ?? asked.body.model), arm, incoming, nowMs);
  if (catalogue && !model)
    return { kind: 'refused', waiting, code: 'model_not_found', message: `no model ${asked.body.model}` };
  if (model && !model.endpoints.includes(asked.endpoint))
    return {
      kind: 'refused',
      waiting,
      code: 'endpoint_not_served',
      message: `${model.name} does not serve ${asked.endpoint}`,
    };
  return { kind: 'waiting', waiting };
}

/** The subject says who may have sent it, so a message must not say otherwise. */
function contradiction(subject: string, asked: Request): string | undefined {
  const { id, tenant, priority, key } = asked;
  if (subject === subjectOfRequest(asked)) return undefined;
  if (requestIdOf(subject) !== id) return 'id: differs from the subject';
  if (tokenOf(subject, 3) !== tenant) return 'tenant: differs from the subject';
  if (key !== undefined && subject === subjects.request(priority, tenant, id))
    return 'key: only an ingress may name the API key that is charged';
  return 'priority: differs from the subject';
}

function withModel(asked: Request, model: string): Request {
  if (asked.body.model === model) return asked;
  switch (asked.endpoint) {
    case 'chat':
      return { ...asked, body: { ...asked.body, model } };
    case 'completion':
      return { ...asked, body: { ...asked.body, model } };
    case 'embedding':
      return { ...asked, body: { ...asked.body, model } };
    default:
      return asked satisfies never;
  }
}

const asWaiting = (
  asked: Request,
  arm: Arm | undefined,
  { storedAtMs, traceparent }: Incoming,
  nowMs: number,
): Waiting => ({
  id: asked.id,
  request: asked,
  model: asked.body.model,
  promptTokens: promptTokens(asked),
  prefix: prefixOf(asked),
  // It waits since the stream has it; a hub whose clock runs ahead must not make that the future.
  arrivedAtMs: Math.min(storedAtMs, nowMs),
  ...(traceparent === undefined ? {} : { traceparent }),
  ...(arm ? { arm } : {}),
});
