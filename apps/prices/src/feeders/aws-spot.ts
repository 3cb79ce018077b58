import type { EC2Client, SpotPrice } from '@aws-sdk/client-ec2';
import { parseValue } from '@drover/schemas';
import { type Answer, given, refuse } from '../core/answer.ts';
import { awsSpotTariff, product, type SpotRecord, spotRecord } from '../core/aws-spot.ts';
import type { SourceOf } from '../core/plan.ts';
import type { Feeder } from './feeder.ts';
import { type HttpOptions, httpDefaults } from './http.ts';

/** A region has some six zones, and a start in the past adds one price change each. */
const pagesMax = 20;

/**
 * DescribeSpotPriceHistory of EC2, by AWS's own client: it finds the credentials that a pod is given (web identity, pod
 * identity), signs, and tries again.
 * @param endpoint instead of the region's own
 */
export const awsSpot =
  (endpoint?: string, http: Omit<HttpOptions, 'signal'> = httpDefaults): Feeder<'aws-spot'> =>
  (signal) =>
  async (_cluster, source, nowMs) => {
    // Most of a second of loading, for those only who need it.
    const aws = await import('@aws-sdk/client-ec2');
    const client = new aws.EC2Client({
      region: source.region,
      maxAttempts: http.tries,
      requestHandler: {
        requestTimeout: http.timeoutMs,
        connectionTimeout: http.timeoutMs,
        // Without it a silent server is only complained about, and waited for.
        throwOnRequestTimeout: true,
      },
      ...(endpoint === undefined ? {} : { endpoint }),
    });
    try {
      // Credentials are fetched too, with timeouts of their own.
      const enough = AbortSignal.any([signal, AbortSignal.timeout(http.timeoutMs * (http.tries + 1))]);
      const history = await readHistory(aws, client, source, nowMs, enough);
      return history.ok ? awsSpotTariff(source, history.value, nowMs) : history;
    } catch (error) {
      return refusalOf(error);
    } finally {
      client.destroy();
    }
  };

async function readHistory(
  { paginateDescribeSpotPriceHistory }: typeof import('@aws-sdk/client-ec2'),
  client: EC2Client,
  { instanceType, zones }: SourceOf<'aws-spot'>,
  nowMs: number,
  signal: AbortSignal,
): Promise<Answer<SpotRecord[]>> {
  // From now to now: EC2 then tells, zone by zone, the price that is in effect.
  const now = new Date(nowMs);
  const pages = paginateDescribeSpotPriceHistory(
    { client, stopOnSameToken: true },
    {
      Filters: [
        { Name: 'instance-type', Values: [instanceType] },
        { Name: 'product-description', Values: [product] },
        ...(zones === undefined ? [] : [{ Name: 'availability-zone', Values: [...zones] }]),
      ],
      StartTime: now,
      EndTime: now,
    },
    { abortSignal: signal },
  );
  const history: SpotRecord[] = [];
  let read = 0;
  for await (const { SpotPriceHistory = [] } of pages) {
    read += 1;
    if (read > pagesMax) return refuse('malformed', `EC2: more than ${pagesMax} pages`);
    for (const one of SpotPriceHistory) {
      const parsed = parseValue<SpotRecord>(spotRecord, one satisfies SpotPrice);
      if (!parsed.ok) return refuse('malformed', `EC2: ${parsed.problem}`);
      history.push(parsed.value);
    }
  }
  return given(history);
}

/** Names of errors by which AWS's client says that there are no credentials, or that they may not. */
const denials = /Credential|Token|Auth|AccessDenied|UnauthorizedOperation|OptInRequired/;

function refusalOf(error: unknown): Answer<never> {
  if (!(error instanceof Error)) return refuse('unreachable', `EC2: ${String(error)}`);
  const problem = `EC2: ${error.name}: ${error.message}`;
  const status = Object(Object(error).$metadata).httpStatusCode;
  if (status === 200) return refuse('malformed', problem);
  return refuse(
    status === 401 || status === 403 || denials.test(error.name) ? 'denied' : 'unreachable',
    problem,
  );
}
