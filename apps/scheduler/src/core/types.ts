import type {
  Arm,
  ClusterId,
  FailureCode,
  Policy,
  Provider,
  RejectionCode,
  Report,
  Request,
  RequestId,
  Tariff,
} from '@drover/schemas';

export type Rates = NonNullable<Report['rates']>;
export type Model = NonNullable<Report['model']>;

/** Tokens that a request is expected to cost: an estimate, never a count. */
export type TokenEstimate = {
  readonly promptTokens: number;
  /** `counted`: token ids. `learned` from what finished prompts had; `assumed` by their bytes. Absent: not told. */
  readonly promptBasis?: 'counted' | 'learned' | 'assumed';
  /** The usual length: half of the answers are shorter. */
  readonly outputTokens: number;
  /** A long answer: nine of ten are shorter. */
  readonly outputTokensHigh: number;
  /** `learned`: from this tenant's own answers. `assumed`: the prior or max_tokens, which is no evidence of length. */
  readonly outputBasis: 'learned' | 'assumed';
};

/** What of a request the decision looks at: never its text. */
export type Demand = Pick<Request, 'endpoint' | 'priority' | 'deadlineAtMs' | 'maxUsdPer1k' | 'regions'>;

/** A request as the decision sees it. */
export type Ask = {
  readonly request: Demand;
  /** The model's own name, aliases resolved. */
  readonly model: string;
  readonly estimate: TokenEstimate;
  /** The cluster that this attempt must leave, when a job is moved. */
  readonly leave?: ClusterId;
  /** The model hash that has already answered a part: only an equal one can continue it. */
  readonly modelHash?: string;
};

/** A cluster as its agents reported it, all agents together. */
export type ClusterView = {
  readonly cluster: ClusterId;
  /** `silent`: no agent has reported lately. One ready agent makes the cluster ready. */
  readonly phase: Report['phase'] | 'silent';
  /** Age of the newest report, in ms by the scheduler's clock; absent when there is none. */
  readonly reportAgeMs?: number;
  /** Slots of the ready agents. */
  readonly slots: number;
  /** Ready agents; each is one node with a backend of its own. */
  readonly nodes: number;
  readonly model?: Model;
  /** Rates of one node. */
  readonly rates?: Rates;
  /** How long a node took from start to ready, the slowest of the agents; absent when none has told. */
  readonly bootMs?: number;
  /** Present when another company answers, for a price per token; `rates` are then those of one answer. */
  readonly provider?: Provider;
};

/** What a breaker says about the next job. */
export type Admission = {
  readonly allowed: boolean;
  readonly detail: string;
  /** How often it opened in a row: the least bad of several refused clusters has the fewest. */
  readonly opens: number;
};

/** A cluster as the decision sees it. */
export type Candidate = {
  readonly view: ClusterView;
  /** Jobs in the scheduler's ledger. */
  readonly load: number;
  readonly tariff?: Tariff;
  /** Why an operator has closed the cluster to new work; absent while it is open. */
  readonly cordon?: string;
  readonly breaker: Admission;
  /** How long no job has been there, in ms; absent while one is. */
  readonly idleMs?: number;
  /** Actual ÷ predicted time of the last answers; absent: nothing learned, as if 1. */
  readonly residual?: number;
  /** Prompt tokens of this request believed to be in the cluster's cache. */
  readonly cachedTokens?: number;
  /** USD per 1,000 output tokens that the cluster has really cost lately; for display. */
  readonly realisedUsdPer1k?: number;
};

/** What this request would get and cost at a cluster. */
export type Prediction = {
  readonly ttftMs: number;
  readonly tpotMs: number;
  readonly totalMs: number;
  /** The same with a long answer. */
  readonly totalHighMs: number;
  /** USD that this request adds to the bill: marginal.ts. */
  readonly marginalUsd: number;
  /** USD of its share of the node while it runs. */
  readonly shareUsd: number;
};

export type Rejection = {
  readonly code: RejectionCode;
  readonly detail: string;
  readonly permanent: boolean;
};

/** A candidate with the numbers that the decision rested on. */
export type Considered = {
  readonly candidate: Candidate;
  /** Nominal USD per 1,000 output tokens; absent without a tariff or a measured rate. */
  readonly usdPer1k?: number;
  readonly prediction?: Prediction;
  /** Lower is better; in the unit of the strategy's scorer. */
  readonly score?: number;
  readonly rejection?: Rejection;
};

/** A considered cluster that could take the request. */
export type Feasible = Considered & { readonly prediction: Prediction };
export type Scored = Feasible & { readonly score: number };

/** The cluster that a model's traffic goes to unless another is clearly better. */
export type Incumbent = { readonly cluster: ClusterId; readonly sinceMs: number };

export type Context = {
  readonly policy: Policy;
  readonly nowMs: number;
  /** Drawn once per decision, in [0, 1). */
  readonly random: number;
  readonly incumbent?: Incumbent;
};

/** What a decision rested on: the same again gives the same decision. */
export type Basis = {
  readonly ask: Ask;
  readonly candidates: readonly Candidate[];
  readonly context: Context;
};

/** Now, not now, or never; and what it rested on. */
export type Decision = Verdict & { readonly basis: Basis };

export type Verdict =
  | {
      readonly kind: 'assign';
      readonly cluster: ClusterId;
      readonly rule: string;
      readonly chosen: Scored;
      readonly considered: readonly Considered[];
      /** The model's incumbent after this decision; absent for strategies that have none. */
      readonly incumbent?: Incumbent;
    }
  | {
      readonly kind: 'defer';
      readonly considered: readonly Considered[];
      /** When a slot is expected to be free, in ms from now; absent when nobody knows. */
      readonly etaMs?: number;
    }
  | {
      readonly kind: 'reject';
      readonly code: FailureCode;
      readonly message: string;
      readonly considered: readonly Considered[];
      /** When it may be worth sending it again, in ms from now. */
      readonly retryAfterMs?: number;
    };

/** The job that a waiting request already has somewhere, when it is to be moved. */
export type Previous = {
  readonly cluster: ClusterId;
  readonly attempt: number;
  /** Sequence of the job in LLM_JOBS: the guard of the move. */
  readonly jobSeq: number;
  /** Sequence of the last event, 0 for none: the guard of an outcome. */
  readonly eventSeq: number;
  readonly reason: RecallReason;
  /** Present when an agent has begun to answer. */
  readonly modelHash?: string;
};

export const recallReasons = ['released', 'silent', 'draining', 'down', 'stranded', 'lost', 'gone'] as const;
export type RecallReason = (typeof recallReasons)[number];

/** A request that waits for a slot. */
export type Waiting = {
  readonly id: RequestId;
  readonly request: Request;
  readonly model: string;
  readonly promptTokens: number;
  /** Chained hashes of the beginnings of its prompt: prefix.ts. Absent: nothing is known. */
  readonly prefix?: readonly string[];
  /** When it began to wait, in ms. */
  readonly arrivedAtMs: number;
  readonly traceparent?: string;
  /** The model was given to it by a variant. A job that is moved does not know that any more. */
  readonly arm?: Arm;
  readonly previous?: Previous;
};
