import type { Logger, Nats } from '@drover/runtime';
import { type Demand, demand, parseMessage, subjects } from '@drover/schemas';
import type { Subscription } from 'nats';

/** Hears what schedulers hold that only some clusters could take, this one included. */
export const subscribeDemand = (nats: Nats, onDemand: (heard: Demand) => void, log: Logger): Subscription =>
  nats.nc.subscribe(subjects.demand('*'), {
    callback: (error, message) => {
      if (error) return log.error({ error: error.message }, 'demand cannot be heard');
      const parsed = parseMessage(demand, message.data);
      if (parsed.ok && subjects.demand(parsed.value.scheduler) === message.subject) onDemand(parsed.value);
    },
  });

/** Says what this scheduler holds. Published plainly: it is said again in a second. */
export const publishDemand = (nats: Nats, said: Demand): void =>
  nats.nc.publish(subjects.demand(said.scheduler), JSON.stringify(said));
