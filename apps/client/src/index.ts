export { type Answer, textOf } from './answer.ts';
export { publishCancel } from './cancel.ts';
export { type FollowOptions, follow } from './follow.ts';
export {
  type Ask,
  type AskBody,
  type AskOptions,
  type AttachOptions,
  connectProducer,
  type Producer,
  type ProducerOptions,
} from './producer.ts';
export type { ReplyEvent, Submission } from './reader.ts';
export { replay } from './replay.ts';
export { type SubmitOptions, submit } from './submit.ts';
