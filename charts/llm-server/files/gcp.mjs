// Objects of Google Cloud Storage. In GKE the metadata server knows the pod; elsewhere the pod's own token is exchanged.
import { readFileSync } from 'node:fs';

const readOnly = 'https://www.googleapis.com/auth/devstorage.read_only';

/** A GET of `gs://bucket/object`. */
export async function requestFor(uri, env) {
  const [, bucket, object] = /^gs:\/\/([^/]+)\/(.+)$/.exec(uri);
  const path = object.split('/').map(encodeURIComponent).join('/');
  const token = env.GCP_PROVIDER ? await exchanged(env) : await ofMetadata(env);
  return {
    url: `${env.GCS_ENDPOINT ?? 'https://storage.googleapis.com'}/${bucket}/${path}`,
    headers: { authorization: `Bearer ${token}` },
  };
}

const ofMetadata = ({ GCE_METADATA_HOST }) =>
  tokenFrom(
    'the metadata server',
    `http://${GCE_METADATA_HOST ?? '169.254.169.254'}/computeMetadata/v1/instance/service-accounts/default/token`,
    { headers: { 'metadata-flavor': 'Google' } },
  );

/** Workload identity federation: Google takes the token of any issuer that the provider names. */
const exchanged = ({ GCP_PROVIDER, GCP_TOKEN_FILE, GCP_STS_URL }) =>
  tokenFrom('STS', GCP_STS_URL ?? 'https://sts.googleapis.com/v1/token', {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      audience: GCP_PROVIDER,
      scope: readOnly,
      requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      subject_token: readFileSync(GCP_TOKEN_FILE, 'utf8').trim(),
    }),
  });

async function tokenFrom(whom, url, init) {
  const response = await fetch(url, { redirect: 'error', ...init });
  const { access_token: token, error } = await response.json().catch(() => ({}));
  if (!response.ok || !token) throw new Error(`${whom} answered ${response.status} ${error ?? ''}`.trim());
  return token;
}
