import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { EventLog, type Nats, publishIfLast } from '@drover/runtime';
import { agentId, type Event, streams, subjects } from '@drover/schemas';
import { TimeoutError } from 'nats';
import { connectTo, startHub } from '../support/hub.ts';
import type { TestServer } from '../support/nats-server.ts';

let hub: TestServer;
let nats: Nats & AsyncDisposable;
before(async () => {
  hub = await startHub([]);
  nats = await connectTo(hub.url);
});
after(async () => {
  await nats[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

/** As with three replicas: direct reads are answered by one that is behind, so many times, and says what was last before. */
function behind(real: Nats, times: number): Nats & { readonly reads: () => number } {
  let reads = 0;
  const stale: Nats['jsm']['direct']['getMessage'] = async (stream, query) => {
    const now = await real.jsm.direct.getMessage(stream, query);
    reads++;
    if (now === null || reads > times) return now;
    const first = await real.jsm.direct.getMessage(stream, { seq: 1, next_by_subj: now.subject });
    return first !== null && first.seq < now.seq ? first : null;
  };
  const direct = Object.create(real.jsm.direct, { getMessage: { value: stale } });
  return {
    ...real,
    jsm: Object.create(real.jsm, { direct: { value: direct } }),
    reads: () => reads,
  };
}

/** Its next publish is stored, and the answer to it lost. */
function losingOneAnswer<N extends Nats>(real: N): N {
  let lost = false;
  const publish: Nats['js']['publish'] = async (subject, data, options) => {
    const ack = await real.js.publish(subject, data, options);
    if (lost) return ack;
    lost = true;
    throw new TimeoutError();
  };
  return { ...real, js: Object.create(real.js, { publish: { value: publish } }) };
}

const running = (agent: string): Event => ({
  v: 1,
  state: 'running',
  agent: agentId.parse(agent),
  attempt: 1,
  atMs: 1,
});

test('a claim whose answer was lost is known as one’s own, though the replica that is asked does not have it yet', async () => {
  const late = losingOneAnswer(behind(nats, 3));
  const seq = await new EventLog(late, 't1', 'r1').write('aws', running('a1'), 0);
  assert.equal(seq, (await new EventLog(nats, 't1', 'r1').last())?.seq);
  assert.ok(seq !== null && seq > 0);
});

test('a write that another one was before is refused after a bounded look, however far behind the replica is', async () => {
  const first = await new EventLog(nats, 't1', 'r2').write('aws', running('a1'), 0);
  assert.ok(first !== null);
  const late = behind(nats, Number.POSITIVE_INFINITY);
  const guard = subjects.event('*', 't1', 'r2');
  const said = JSON.stringify(running('a2'));
  const subject = subjects.event('gcp', 't1', 'r2');
  assert.equal(await publishIfLast(late, streams.events.name, subject, said, { guard, lastSeq: 0 }), null);
  assert.equal(await new EventLog(late, 't1', 'r2').write('gcp', running('a2'), 0), null);
  assert.ok(late.reads() < 40, `${late.reads()} reads`);
  assert.equal((await new EventLog(nats, 't1', 'r2').all()).length, 1);
});
