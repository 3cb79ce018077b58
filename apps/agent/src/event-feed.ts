import { createParser } from 'eventsource-parser';

/** Takes the pieces of a stream of server-sent events, and hands on the data of all events that one piece completes, at a time. */
export function eventFeed(onEvents: (events: readonly string[]) => void): (part: string) => void {
  let events: string[] = [];
  const parser = createParser({ onEvent: ({ data }) => events.push(data) });
  return (part) => {
    parser.feed(part);
    if (events.length === 0) return;
    const complete = events;
    events = [];
    onEvents(complete);
  };
}
