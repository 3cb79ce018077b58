import type { Cloud, SpotAnswer } from '../core/spot/notice.ts';
import { awsSource } from './aws.ts';
import { azureSource } from './azure.ts';
import { gcpSource } from './gcp.ts';

/** One way of asking whether this machine will be taken away. */
export type SpotSource = {
  /** May wait for a change. @throws when the metadata service does not answer */
  ask(signal: AbortSignal): Promise<SpotAnswer>;
};

const sources: Readonly<Record<Cloud, (baseUrl?: string) => SpotSource>> = {
  aws: awsSource,
  gcp: gcpSource,
  azure: azureSource,
};

/** @param baseUrl of a metadata service elsewhere; default: the cloud's own */
export const spotSource = (cloud: Cloud, baseUrl?: string): SpotSource => sources[cloud](baseUrl);
