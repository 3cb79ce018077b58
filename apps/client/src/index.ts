export { publishCancel } from './cancel.ts';
export { type FollowOptions, follow } from './follow.ts';
export type { ReplyEvent, Submission } from './reader.ts';
export { lastEvent, replay } from './replay.ts';
export { type SubmitOptions, submit } from './submit.ts';
