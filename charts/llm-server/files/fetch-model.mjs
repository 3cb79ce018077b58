// Fetches a model file once: under a temporary name, resumed when the connection breaks, compared with its hash, then
// renamed. A file that is there already is only compared. Several pods may do this in one folder at the same time.
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync, renameSync, rmSync, statSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';

const {
  MODEL_URI: uri,
  MODEL_FILE: file,
  MODEL_SHA256: sha256,
  MODEL_BYTES: bytes,
  // Who asks, where not everybody may: aws, gcp or azure.
  MODEL_IDENTITY: identity,
} = process.env;
const tries = Number(process.env.MODEL_TRIES ?? 5);
// fetch tells why it failed in the cause only.
const told = (error) => [String(error), ...(error?.cause ? [String(error.cause)] : [])].join(': ');
const say = (event, more = {}) => console.log(JSON.stringify({ app: 'fetch-model', event, file, ...more }));

if (!uri || !file) {
  console.error('config: MODEL_URI and MODEL_FILE are needed');
  process.exit(78);
}
const schemes = { aws: /^s3:/, gcp: /^gs:/, azure: /^(az|https):/ };
if (!(identity ? schemes[identity] : /^https?:/)?.test(uri)) {
  console.error(`config: MODEL_URI cannot be fetched with ${identity ? `MODEL_IDENTITY ${identity}` : 'no MODEL_IDENTITY'}`);
  process.exit(78);
}
// An address may carry the right to read in its query: that part is not told.
const [source] = uri.split('?');

const sizeOf = (path) => (existsSync(path) ? statSync(path).size : 0);

async function problemOf(path) {
  if (bytes && sizeOf(path) !== Number(bytes)) return `has ${sizeOf(path)} bytes, not ${bytes}`;
  if (!sha256) return undefined;
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  const found = hash.digest('hex');
  return found === sha256 ? undefined : `has the SHA-256 ${found}, not ${sha256}`;
}

/** What to ask. It is made anew for each try: what proves who asks is good for minutes only. */
async function request() {
  if (!identity) return { url: uri, headers: {}, redirect: 'follow' };
  const { requestFor } = await import(`./${identity}.mjs`);
  // A redirect would carry the proof to somebody else.
  return { ...(await requestFor(uri, process.env)), redirect: 'manual' };
}

/** Appends what is missing. A server that knows no ranges sends everything, and we begin again. */
async function download(path) {
  const have = sizeOf(path);
  if (bytes && have === Number(bytes)) return;
  const { url, headers, redirect } = await request();
  const response = await fetch(url, {
    headers: have > 0 ? { ...headers, range: `bytes=${have}-` } : headers,
    redirect,
  });
  if (!response.ok || !response.body) throw new Error(`${source} answered ${response.status}`);
  const flags = response.status === 206 ? 'a' : 'w';
  await pipeline(Readable.fromWeb(response.body), createWriteStream(path, { flags }));
}

async function main() {
  if (existsSync(file)) {
    const problem = await problemOf(file);
    if (!problem) return say('present');
    say('damaged', { problem });
  }
  const temporary = `${file}.${randomBytes(6).toString('hex')}.part`;
  try {
    for (let attempt = 1; ; attempt += 1) {
      try {
        say('fetching', { attempt, have: sizeOf(temporary) });
        await download(temporary);
        break;
      } catch (error) {
        if (attempt >= tries) throw error;
        say('broken off', { problem: told(error) });
        await delay(Math.min(1_000 * 2 ** attempt, 30_000) * Number(process.env.MODEL_BACKOFF ?? 1));
      }
    }
    const problem = await problemOf(temporary);
    if (problem) throw new Error(`${source} ${problem}`);
    renameSync(temporary, file);
    say('fetched', { bytes: sizeOf(file) });
  } finally {
    rmSync(temporary, { force: true });
  }
}

await main().catch((error) => {
  console.error(JSON.stringify({ app: 'fetch-model', event: 'failed', file, problem: told(error) }));
  process.exit(1);
});
