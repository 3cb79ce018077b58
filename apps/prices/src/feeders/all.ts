import type { PricesConfig } from '../config.ts';
import { awsSpot } from './aws-spot.ts';
import { azureRetail } from './azure-retail.ts';
import type { Feeders } from './feeder.ts';
import { file } from './file.ts';
import { gcpCatalogue } from './gcp-catalogue.ts';
import { type HttpOptions, httpDefaults } from './http.ts';

type Places = Pick<
  PricesConfig,
  'AWS_EC2_URL' | 'AZURE_PRICES_URL' | 'GCP_BILLING_URL' | 'GCP_BILLING_API_KEY'
>;

/** Every feeder; a further one is a file beside these, a kind of source in core/plan.ts, and a line here and in turn.ts. */
export const allFeeders = (places: Places, http: Omit<HttpOptions, 'signal'> = httpDefaults): Feeders => ({
  'aws-spot': awsSpot(places.AWS_EC2_URL, http),
  'azure-retail': azureRetail(places.AZURE_PRICES_URL, http),
  'gcp-catalogue': gcpCatalogue(places.GCP_BILLING_URL, places.GCP_BILLING_API_KEY, http),
  file,
});
