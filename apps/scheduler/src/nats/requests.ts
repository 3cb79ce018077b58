import { type Logger, type Nats, untilThere } from '@drover/runtime';
import { planningWindow, priorities, requestConsumer } from '@drover/schemas';
import type { ConsumerMessages, JsMsg } from '@nats-io/jetstream';

/**
 * How long one pull stands. The client library waits this long before it tries again after a failed look at its consumer,
 * so it bounds how long a restart of the server keeps a band from flowing.
 */
const pullMs = 2_000;

/**
 * Pulls requests of every band; `onMessage` gets each at once and must not throw. JetStream delivers at most a planning
 * window of each band that is not acknowledged, to all schedulers together; the rest stays in the stream.
 * @throws when a consumer does not exist (bootstrap has not run)
 */
export async function consumeRequests(
  nats: Nats,
  onMessage: (message: JsMsg) => void,
  log: Logger,
): Promise<{ stop(): Promise<void> }> {
  const flows = await Promise.all(
    priorities.map((band) =>
      untilThere(nats, log, `requests ${band}`, () => consumeBand(nats, requestConsumer(band), onMessage)),
    ),
  );
  return { stop: async () => void (await Promise.all(flows.map((flow) => flow.close()))) };
}

async function consumeBand(
  nats: Nats,
  { stream, name }: { stream: string; name: string },
  onMessage: (message: JsMsg) => void,
): Promise<ConsumerMessages> {
  const consumer = await nats.js.consumers.get(stream, name);
  const flow = await consumer.consume({
    callback: onMessage,
    max_messages: planningWindow,
    expires: pullMs,
    idle_heartbeat: pullMs / 2,
  });
  void flow.closed().then((error) => {
    // A flow that ended on its own would leave its band unserved for ever.
    if (error instanceof Error) throw error;
  });
  return flow;
}
