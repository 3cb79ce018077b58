export const clouds = ['aws', 'gcp', 'azure'] as const;
export type Cloud = (typeof clouds)[number];

/** The cloud has said that it will take this machine away. */
export type SpotNotice = {
  readonly cloud: Cloud;
  /** What will be done to it, in the cloud's own word, lower case. */
  readonly action: string;
  /** Wall clock when it goes; absent when the cloud does not say. */
  readonly atMs?: number;
};

/** What asking the metadata service brought. */
export type SpotAnswer =
  | { readonly kind: 'none' }
  | { readonly kind: 'notice'; readonly notice: SpotNotice }
  /** No answer, or none that can be read: nothing is known. */
  | { readonly kind: 'failed'; readonly problem: string };

/** A status and a body, as the metadata service gave them. */
export type MetadataAnswer = { readonly status: number; readonly body: string };

/** How long the machine stays after a notice without a time: what each cloud promises at least, in ms. */
const promisedMs: Readonly<Record<Cloud, number>> = { aws: 120_000, gcp: 15_000, azure: 30_000 };

/** Kept free for publishing what is there and giving it back, in ms. */
export const handOverMs = 3_000;

/** Pure. How long the machine is still there, in ms; 0 when it may go at any moment. */
export const timeLeftMs = ({ cloud, atMs }: SpotNotice, nowMs: number): number =>
  Math.max(0, atMs === undefined ? promisedMs[cloud] : atMs - nowMs);

/** Pure. How long running jobs may go on after a notice before they are handed over, in ms. */
export const drainBudgetMs = (configuredMs: number, notice: SpotNotice, nowMs: number): number =>
  Math.max(0, Math.min(configuredMs, timeLeftMs(notice, nowMs) - handOverMs));

/** Pure. A status that is neither an answer nor "there is none". */
export const unexpected = ({ status }: MetadataAnswer): SpotAnswer => ({
  kind: 'failed',
  problem: `the metadata service answered ${status}`,
});
