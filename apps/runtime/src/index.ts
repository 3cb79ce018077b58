export * from './compare-and-set.ts';
export * from './env.ts';
export * from './jetstream.ts';
export * from './lifecycle.ts';
export * from './log.ts';
export * from './metrics.ts';
export * from './nats.ts';
export * from './watch.ts';
