// Objects of S3. The pod's own token is exchanged for a role's keys, which live a quarter of an hour, and these sign one GET.
import { createHash, createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';

const hash = (text) => createHash('sha256').update(text).digest('hex');
const hmac = (key, text) => createHmac('sha256', key).update(text).digest();
const ofNothing = hash('');

/** As AWS wants it: everything but letters, digits and -._~ as %XX. */
const escape = (text) =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

/** A GET of `s3://bucket/key`: its address, and headers that are good for some minutes. */
export async function requestFor(uri, env, now = new Date()) {
  const [, bucket, key] = /^s3:\/\/([^/]+)\/(.+)$/.exec(uri);
  const { AWS_REGION: region, AWS_ENDPOINT_URL_S3: endpoint } = env;
  const path = key.split('/').map(escape).join('/');
  // The bucket is part of the name: AWS wants that. A service at a given address has one name for all.
  const url = endpoint
    ? `${endpoint}/${bucket}/${path}`
    : `https://${bucket}.s3.${region}.amazonaws.com/${path}`;
  const keys = await keysOf(env, region);
  return { url, headers: sign(url, { 'x-amz-security-token': keys.session }, keys, region, now) };
}

/** AssumeRoleWithWebIdentity: the only call to AWS that needs no key. */
async function keysOf({ AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ENDPOINT_URL_STS }, region) {
  const response = await fetch(AWS_ENDPOINT_URL_STS ?? `https://sts.${region}.amazonaws.com/`, {
    method: 'POST',
    redirect: 'error',
    body: new URLSearchParams({
      Action: 'AssumeRoleWithWebIdentity',
      Version: '2011-06-15',
      RoleArn: AWS_ROLE_ARN,
      RoleSessionName: 'drover-fetch-model',
      DurationSeconds: '900',
      WebIdentityToken: readFileSync(AWS_WEB_IDENTITY_TOKEN_FILE, 'utf8').trim(),
    }),
  });
  const text = await response.text();
  const tag = (name) => new RegExp(`<${name}>([^<]+)</${name}>`).exec(text)?.[1];
  // The rest of the answer is not repeated: a good one holds keys.
  if (!response.ok) throw new Error(`STS answered ${response.status} ${tag('Code') ?? ''}`.trim());
  const keys = { id: tag('AccessKeyId'), secret: tag('SecretAccessKey'), session: tag('SessionToken') };
  if (!keys.id || !keys.secret || !keys.session) throw new Error('STS answered without keys');
  return keys;
}

/**
 * Signature version 4 of a GET without a body or a query.
 * @param headers those to be signed besides `host`, which fetch adds
 * @returns all headers of the request
 */
export function sign(url, headers, { id, secret }, region, now) {
  const { host, pathname } = new URL(url);
  const time = now.toISOString().replace(/[-:]|\.\d+/g, '');
  const day = time.slice(0, 8);
  const all = { ...headers, 'x-amz-content-sha256': ofNothing, 'x-amz-date': time };
  const signed = Object.entries({ ...all, host }).sort(([a], [b]) => (a < b ? -1 : 1));
  const names = signed.map(([name]) => name).join(';');
  const lines = signed.map(([name, value]) => `${name}:${value}\n`).join('');
  const request = ['GET', pathname, '', lines, names, ofNothing].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const key = [day, region, 's3', 'aws4_request'].reduce(hmac, `AWS4${secret}`);
  const signature = hmac(key, ['AWS4-HMAC-SHA256', time, scope, hash(request)].join('\n')).toString('hex');
  const authorization = `AWS4-HMAC-SHA256 Credential=${id}/${scope}, SignedHeaders=${names}, Signature=${signature}`;
  return { ...all, authorization };
}
