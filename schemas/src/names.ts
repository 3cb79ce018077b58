import { z } from 'zod';

/**
 * Every name that becomes one token of a NATS subject. A dot, a space, `*` or `>` in any of them would change which
 * subject a message goes to, so the alphabets leave them out.
 */
const token = (max: number) =>
  z
    .string()
    .regex(/^[A-Za-z0-9_-]+$/, 'use letters, digits, _ and - only')
    .max(max);

export const requestId = token(64).brand<'RequestId'>();
export const tenantId = token(64).brand<'TenantId'>();
export const clusterId = token(64).brand<'ClusterId'>();
export const agentId = token(64).brand<'AgentId'>();

export type RequestId = z.infer<typeof requestId>;
export type TenantId = z.infer<typeof tenantId>;
export type ClusterId = z.infer<typeof clusterId>;
export type AgentId = z.infer<typeof agentId>;

/**
 * A cluster's accelerated nodes are a cluster of their own on the wire: they serve another model, at another price and in
 * other numbers, and a job for the one is of no use to the other.
 */
export const gpuCluster = (cluster: ClusterId): ClusterId => clusterId.parse(`${cluster}-gpu`);

/** Strict bands, served in this order. Each is a subject token of its own, so that a flood of one cannot hide another. */
export const priorities = ['interactive', 'standard', 'batch'] as const;
export const priority = z.enum(priorities);
export type Priority = z.infer<typeof priority>;

/** What a request asks for; one per OpenAI endpoint that runs a model. */
export const endpoints = ['chat', 'completion', 'embedding'] as const;
export const endpoint = z.enum(endpoints);
export type Endpoint = z.infer<typeof endpoint>;
