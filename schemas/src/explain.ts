import type { DecisionRecord, ShadowNote } from './messages/decision.ts';

type Candidate = DecisionRecord['candidates'][number];

/** What each rule means, as the end of "… was chosen because …". */
const rules: Readonly<Record<string, string>> = {
  'only-candidate': 'it was the only cluster that could take the request',
  'lowest-score': 'it scored best',
  'near-tie-loaded':
    'it was within a near tie of the best and already the busiest, which lets the others go idle',
  'incumbent-kept': 'it already has the traffic of this model and no other cluster was better by the margin',
  'incumbent-overflow': 'the usual cluster could not take this request, and it was the best of the others',
  'incumbent-lost': 'the usual cluster can no longer serve, and it was the best of the others',
  'incumbent-beaten': 'it was better than the usual cluster by more than the margin',
  'prefix-cached': 'it has answered a prompt that begins like this one, and is cheaper for it',
  explored: 'one request in a hundred tries another cluster, so that estimates stay honest',
  'least-bad': 'no cluster could be in time, and waiting would not help: it was the quickest',
  'breaker-failed-open': 'every cluster that could serve has failed lately, and it was the least bad',
};

/** Says in words what a decision was and what it rested on. Several lines, no prompt text. */
export function explainDecision(record: DecisionRecord): string {
  return [
    headline(record),
    situation(record),
    ...explainTrial(record),
    ...record.candidates.map(explainCandidate),
  ].join('\n');
}

function headline(record: DecisionRecord): string {
  const attempt = record.attempt > 1 ? ` (attempt ${record.attempt})` : '';
  if (record.kind === 'assign' && record.chosen !== undefined)
    return `Request ${record.request} went to ${record.chosen}${attempt} because ${rules[record.rule] ?? record.rule}.`;
  return `Request ${record.request} was refused${attempt}: ${record.rule}.`;
}

function situation(record: DecisionRecord): string {
  const { estimate, policyRevision } = record;
  const policy = policyRevision === 0 ? 'the built-in policy' : `policy revision ${policyRevision}`;
  return (
    `It asked for ${record.model} (${record.priority}), waited ${milliseconds(record.queueMs)}, and was expected to take about ` +
    `${estimate.promptTokens} prompt and ${estimate.outputTokens} output tokens. ` +
    `Strategy ${record.strategy}, by ${policy}.`
  );
}

/** What of it belongs to an experiment. */
function explainTrial({ turn, arm, shadow, chosen }: DecisionRecord): string[] {
  return [
    ...(arm ? [`The name ${arm.variant} gave it ${arm.model}.`] : []),
    ...(turn
      ? [`It was the turn of policy ${turn.policy} in experiment ${turn.experiment} (window ${turn.window}).`]
      : []),
    ...(shadow ? [`${explainShadow(shadow, chosen)} That changed nothing.`] : []),
  ];
}

function explainShadow({ policy, kind, chosen, error }: ShadowNote, real: string | undefined): string {
  if (kind === 'error') return `The shadow policy ${policy} failed: ${error ?? 'it did not say why'}.`;
  if (kind === 'defer') return `The shadow policy ${policy} would have let it wait.`;
  if (kind === 'reject') return `The shadow policy ${policy} would have refused it.`;
  return `The shadow policy ${policy} would have ${chosen === real ? 'also ' : ''}chosen ${chosen}.`;
}

function explainCandidate(candidate: Candidate): string {
  const facts = [
    `${candidate.load} of ${candidate.slots} slots taken`,
    ...(candidate.usdPerHour === undefined
      ? []
      : [`$${candidate.usdPerHour}/h${candidate.priceStale ? ' (an old price)' : ''}`]),
    ...(candidate.usdPerMillion === undefined
      ? []
      : [
          `$${candidate.usdPerMillion.prompt} to read and $${candidate.usdPerMillion.output} to write 1M tokens` +
            `${candidate.priceStale ? ' (an old price)' : ''}`,
        ]),
    ...explainCosts(candidate.costs ?? {}),
    ...(candidate.cachedTokens ? [`about ${Math.round(candidate.cachedTokens)} prompt tokens cached`] : []),
    ...(candidate.predicted === undefined ? [] : [explainPrediction(candidate.predicted)]),
    ...(candidate.score === undefined ? [] : [`score ${candidate.score.toPrecision(3)}`]),
  ];
  const verdict = candidate.rejection
    ? `could not take it: ${candidate.rejection.code} (${candidate.rejection.detail})`
    : 'could take it';
  return `- ${candidate.cluster} ${verdict}; ${facts.join(', ')}`;
}

const explainPrediction = ({ ttftMs, totalMs }: NonNullable<Candidate['predicted']>): string =>
  `first token in about ${milliseconds(ttftMs)}, all in ${milliseconds(totalMs)}`;

const explainCosts = (costs: NonNullable<Candidate['costs']>): string[] => [
  ...usd(costs.nominalUsdPer1k, 'per 1K tokens at capacity'),
  ...usd(costs.realisedUsdPer1k, 'per 1K tokens lately'),
  ...usd(costs.marginalUsd, 'for this request'),
];

const usd = (amount: number | undefined, what: string): string[] =>
  amount === undefined ? [] : [`$${amount.toPrecision(3)} ${what}`];

const milliseconds = (ms: number): string =>
  ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
