import { z } from 'zod';
import { requestId, tenantId } from '../names.ts';

/**
 * A reader no longer wants its request; `llm.cancel.<tenant>.<request>`. The ids stand in the message too: a PubAck can
 * be steered onto any subject by a reply field, and must never count as a command.
 */
export const cancel = z.strictObject({
  v: z.literal(1),
  type: z.literal('cancel'),
  tenant: tenantId,
  id: requestId,
});
export type Cancel = z.infer<typeof cancel>;
