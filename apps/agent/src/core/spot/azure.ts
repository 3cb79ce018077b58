import { z } from 'zod';
import { type MetadataAnswer, type SpotAnswer, unexpected } from './notice.ts';

/** https://learn.microsoft.com/azure/virtual-machines/linux/scheduled-events */
const scheduledEvents = z.object({
  Events: z.array(
    z.object({
      EventType: z.string(),
      EventStatus: z.string().optional(),
      Resources: z.array(z.string()),
      NotBefore: z.string().optional(),
    }),
  ),
});

/** Events after which the machine is gone. A freeze, a reboot or a redeployment brings it back. */
const fatal: ReadonlySet<string> = new Set(['Preempt', 'Terminate']);

/**
 * Pure. The answer of `/metadata/scheduledevents`, which lists the events of all machines of a group.
 * @param machine the name of this one, as Azure's own metadata gives it
 */
export function readAzure(answer: MetadataAnswer, machine: string, nowMs: number): SpotAnswer {
  if (answer.status !== 200) return unexpected(answer);
  const parsed = scheduledEvents.safeParse(json(answer.body));
  if (!parsed.success) return { kind: 'failed', problem: 'not a list of events' };
  const ours = parsed.data.Events.find(
    ({ EventType, Resources }) => fatal.has(EventType) && Resources.some((name) => isSame(name, machine)),
  );
  if (ours === undefined) return { kind: 'none' };
  // An event that has started has no time any more: the machine may go at any moment.
  const atMs = ours.EventStatus === 'Started' ? nowMs : Date.parse(ours.NotBefore ?? '');
  return {
    kind: 'notice',
    notice: {
      cloud: 'azure',
      action: ours.EventType.toLowerCase(),
      ...(Number.isNaN(atMs) ? {} : { atMs }),
    },
  };
}

/** Azure's names do not distinguish case. */
const isSame = (name: string, machine: string): boolean => name.toLowerCase() === machine.toLowerCase();

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
