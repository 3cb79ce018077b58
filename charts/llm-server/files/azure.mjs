// Blobs of Azure. The pod's own token is exchanged for one of an application or managed identity that trusts its service account.
import { readFileSync } from 'node:fs';

/** Where a blob is; undefined for what is no blob of Azure's public cloud. */
function blobUrl(uri, endpoint) {
  const [, account, path] =
    /^az:\/\/([a-z0-9]{3,24})\/(.+)$/.exec(uri) ??
    /^https:\/\/([a-z0-9]{3,24})\.blob\.core\.windows\.net\/([^?#]+)$/.exec(uri) ??
    [];
  return account && `${endpoint ?? `https://${account}.blob.core.windows.net`}/${path}`;
}

/** A GET of `az://account/container/blob`, or of the same as https. */
export async function requestFor(uri, env) {
  const url = blobUrl(uri, env.AZURE_STORAGE_ENDPOINT);
  if (!url) throw new Error('is no address of a blob');
  // Tokens are understood since version 2017-11-09 of the service.
  return { url, headers: { authorization: `Bearer ${await tokenOf(env)}`, 'x-ms-version': '2021-12-02' } };
}

async function tokenOf({ AZURE_AUTHORITY_HOST, AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_FEDERATED_TOKEN_FILE }) {
  const host = AZURE_AUTHORITY_HOST ?? 'https://login.microsoftonline.com';
  const response = await fetch(`${host}/${AZURE_TENANT_ID}/oauth2/v2.0/token`, {
    method: 'POST',
    redirect: 'error',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: AZURE_CLIENT_ID,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: readFileSync(AZURE_FEDERATED_TOKEN_FILE, 'utf8').trim(),
      scope: 'https://storage.azure.com/.default',
    }),
  });
  const { access_token: token, error } = await response.json().catch(() => ({}));
  if (!response.ok || !token) throw new Error(`Entra ID answered ${response.status} ${error ?? ''}`.trim());
  return token;
}
