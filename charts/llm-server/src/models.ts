import { contextBytesPerToken, type ModelList, onOffer } from '@drover/schemas';

const mib = 1024 * 1024;
const megabytes = (bytes: number | undefined) =>
  bytes === undefined ? 'unknown' : `${(bytes / 1e6).toFixed(0)} MB`;

/** Files that follow from the list of models, by their path in the project. */
export function modelFiles(list: ModelList): Map<string, string> {
  return new Map([
    ['charts/llm-server/files/catalogue.json', `${JSON.stringify(list, null, 2)}\n`],
    ['charts/router/files/models.json', `${JSON.stringify(onOffer(list), null, 2)}\n`],
    ['docs/models.md', page(list)],
  ]);
}

/** An object in a bucket has no address that a browser knows. */
const linked = ({ name, uri }: ModelList['models'][number]['file']): string =>
  uri.startsWith('https:') ? `[${name}](${uri})` : `${name} at \`${uri}\``;

const page = ({ models }: ModelList): string => `# Models

Generated from [\`schemas/models/catalogue.json\`](../schemas/models/catalogue.json) by \`npm run deploy:generate\`. The chart
\`llm-server\` serves one of these by its name; clients may use an alias.

| model | aliases | what it can do | context | parameters | quantisation | licence |
|---|---|---|---|---|---|---|
${models
  .map(
    (model) =>
      `| ${model.name} | ${model.aliases.join(', ')} | ${model.endpoints.join(', ')} | ${model.contextTokens} | ${(model.parameters / 1e6).toFixed(0)} M | ${model.quantisation} | ${model.licence} |`,
  )
  .join('\n')}

## Files and memory

A token of context takes two bytes for a key and two for a value, per layer, head and dimension (computed, not measured).
The chart asks for the file's size, the context of all slots, and 384 MiB to compute in.

A file at \`https://\` is fetched as anybody. The list also takes \`s3://bucket/key\`, \`gs://bucket/object\` and
\`az://account/container/blob\`, which are fetched [as the pod](deploy.md#models-in-a-bucket); so is the https address of an
Azure blob, where the pod has an identity for Azure.

| model | file | size | a token of context | with 4 slots of 2,048 | figures |
|---|---|---|---|---|---|
${models.map((model) => `| ${model.name} | ${linked(model.file)} | ${megabytes(model.file.bytes)} | ${(contextBytesPerToken(model) / 1024).toFixed(1)} KiB | ${memoryMib(model, 4 * 2048)} MiB | ${model.figures.how} |`).join('\n')}

## Hashes

A file is fetched under a temporary name, compared, and only then given its own. Without a hash the chart refuses, unless
\`allowUnverified\` is set.

| model | SHA-256 | where the figures are from |
|---|---|---|
${models.map((model) => `| ${model.name} | \`${model.file.sha256 ?? 'none'}\` | ${model.figures.how}: ${model.figures.source} |`).join('\n')}

*Measured* means: on the file, here. *Quoted* means: somebody else says so; nothing of it was measured here.
`;

/** What the chart asks for, in MiB; `charts/llm-server/templates/_helpers.tpl` computes the same. */
export const memoryMib = (model: ModelList['models'][number], tokens: number): number =>
  384 + Math.floor(((model.file.bytes ?? 8 * 1024 * mib) + contextBytesPerToken(model) * tokens) / mib);
