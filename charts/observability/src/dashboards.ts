import { dashboard, type Row } from './panels.ts';

const here = 'cluster=~"$cluster"';
const p = (quantile: number, metric: string, by = '', match = '') =>
  `histogram_quantile(${quantile}, sum by (le${by && `, ${by}`}) (rate(${metric}_bucket${match}[$__rate_interval])))`;

const cost: readonly Row[] = [
  [
    {
      title: 'Cost of the fleet',
      about: 'Price of a node times the nodes that run, over all clusters.',
      unit: 'currencyUSD',
      kind: 'stat',
      queries: [
        ['drover:usd_per_hour', 'per hour'],
        ['drover:usd_per_hour * 24', 'per day'],
      ],
    },
    {
      title: 'Budget',
      about: 'What the fleet may cost in a day.',
      unit: 'currencyUSD',
      kind: 'stat',
      queries: [['max(drover:budget_usd_per_day)', 'per day']],
    },
    {
      title: 'Completion tokens',
      about: 'Tokens that clients were given, per second.',
      unit: 'short',
      kind: 'stat',
      queries: [['sum(rate(drover_ingress_tokens_total{kind="completion"}[5m]))', 'tokens/s']],
    },
    {
      title: 'Realised price of 1,000 tokens',
      about: 'What the fleet costs, divided by what it says. Idle nodes count.',
      unit: 'currencyUSD',
      kind: 'stat',
      queries: [
        [
          'drover:usd_per_hour / 3.6 / sum(rate(drover_ingress_tokens_total{kind="completion"}[1h]))',
          'per 1K',
        ],
      ],
    },
  ],
  [
    {
      title: 'Nominal price of 1,000 output tokens',
      about: 'At capacity, by measured speed. The choice is made by the predicted cost of each request.',
      unit: 'currencyUSD',
      queries: [[`max by (cluster) (drover_scheduler_usd_per_1k_tokens{${here}})`, '{{cluster}}']],
    },
    {
      title: 'Cost per hour',
      about: 'By cluster.',
      unit: 'currencyUSD',
      queries: [[`drover:cluster_usd_per_hour{${here}}`, '{{cluster}}']],
    },
  ],
  [
    {
      title: 'Where requests go',
      about: 'Decisions per second, by cluster.',
      unit: 'reqps',
      queries: [
        [
          `sum by (cluster) (rate(drover_scheduler_decisions_total{${here}}[$__rate_interval]))`,
          '{{cluster}}',
        ],
      ],
    },
    {
      title: 'Charged',
      about: 'Dollars per hour that the ledger charges requests with: busy time, not idle nodes.',
      unit: 'currencyUSD',
      queries: [
        [
          `3600 * sum by (cluster) (rate(drover_scheduler_settled_usd_total{${here}}[$__rate_interval]))`,
          '{{cluster}}',
        ],
      ],
    },
    {
      title: 'Price of a node',
      about: 'As the scheduler knows it.',
      unit: 'currencyUSD',
      queries: [[`max by (cluster) (drover_scheduler_usd_per_hour{${here}})`, '{{cluster}}']],
    },
  ],
];

const fleet: readonly Row[] = [
  [
    {
      title: 'Slots',
      about: 'Of agents that are ready.',
      unit: 'short',
      kind: 'stat',
      queries: [['sum(max by (cluster) (drover_scheduler_slots))', 'slots']],
    },
    {
      title: 'Free slots',
      about: 'Without a job.',
      unit: 'short',
      kind: 'stat',
      queries: [['sum(max by (cluster) (drover_scheduler_free_slots))', 'free']],
    },
    {
      title: 'llama.cpp servers',
      about: 'That answer and are measured.',
      unit: 'short',
      kind: 'stat',
      queries: [['sum(drover_agent_backend_up)', 'up']],
    },
  ],
  [
    {
      title: 'Load and slots',
      about: 'Jobs that hold or await a slot, and slots, by cluster.',
      unit: 'short',
      queries: [
        [`max by (cluster) (drover_scheduler_load{${here}})`, '{{cluster}} load'],
        [`max by (cluster) (drover_scheduler_slots{${here}})`, '{{cluster}} slots'],
      ],
    },
    {
      title: 'Busy slots',
      about: 'As the agents count them.',
      unit: 'short',
      queries: [[`sum by (cluster) (drover_agent_slots{${here}, state="busy"})`, '{{cluster}}']],
    },
  ],
  [
    {
      title: 'Decode speed',
      about: 'Measured tokens per second of a backend, by replies at once.',
      unit: 'short',
      queries: [
        [`avg by (cluster, b) (drover_agent_decode_tokens_per_second{${here}})`, '{{cluster}} b={{b}}'],
      ],
    },
    {
      title: 'Prefill speed',
      about: 'Measured speed of uncached prompt tokens.',
      unit: 'short',
      queries: [[`avg by (cluster) (drover_agent_prefill_tokens_per_second{${here}})`, '{{cluster}}']],
    },
    {
      title: 'Tokens',
      about: 'By kind, as the agents count them.',
      unit: 'short',
      queries: [[`sum by (kind) (rate(drover_agent_tokens_total{${here}}[$__rate_interval]))`, '{{kind}}']],
    },
  ],
  [
    {
      title: 'Age of the newest report',
      about: 'Agents report every second.',
      unit: 's',
      queries: [[`min by (cluster) (drover_scheduler_report_age_seconds{${here}})`, '{{cluster}}']],
    },
    {
      title: 'Models',
      about: 'What is loaded, and where.',
      unit: 'short',
      queries: [[`sum by (cluster, model) (drover_agent_model_loaded{${here}})`, '{{cluster}} {{model}}']],
    },
    {
      title: 'Held back by llama.cpp',
      about: 'Above zero somebody else uses these backends.',
      unit: 'short',
      queries: [[`sum by (cluster) (drover_agent_backend_deferred{${here}})`, '{{cluster}}']],
    },
  ],
];

const scaling: Row = [
  {
    title: 'Nodes wanted',
    about: 'By the scheduler that has this duty; KEDA makes it so.',
    unit: 'short',
    queries: [
      [
        `max by (cluster) (drover_scheduler_nodes_wanted{${here}} * on (pod) group_left () drover_scheduler_scaling_leader)`,
        '{{cluster}}',
      ],
    ],
  },
  {
    title: 'Nodes asked for, let go, and not come',
    about: 'In the last hour.',
    unit: 'short',
    queries: [
      [`sum by (cluster) (increase(drover_scheduler_wakes_total{${here}}[1h]))`, '{{cluster}} asked for'],
      [
        `sum by (cluster) (increase(drover_scheduler_nodes_released_total{${here}}[1h]))`,
        '{{cluster}} let go',
      ],
      [
        `sum by (cluster) (increase(drover_scheduler_wakes_failed_total{${here}}[1h]))`,
        '{{cluster}} did not come',
      ],
    ],
  },
  {
    title: 'Start of a node',
    about: 'From a node being asked for to its being ready.',
    unit: 's',
    queries: [[p(0.5, 'drover_scheduler_node_boot_seconds', 'cluster', `{${here}}`), '{{cluster}} p50']],
  },
  {
    title: 'Spot notices',
    about: 'Machines that the cloud said it would take, in the last hour.',
    unit: 'short',
    queries: [['sum by (cloud) (increase(drover_agent_spot_notices_total[1h]))', '{{cloud}}']],
  },
];

const latency: readonly Row[] = [
  [
    {
      title: 'Time to first token',
      about: 'From the arrival of a request to its first unit.',
      unit: 's',
      queries: [
        [p(0.5, 'drover_ingress_ttft_seconds', 'priority'), '{{priority}} p50'],
        [p(0.95, 'drover_ingress_ttft_seconds', 'priority'), '{{priority}} p95'],
      ],
    },
    {
      title: 'Between two tokens',
      about: 'As they arrive at the ingress.',
      unit: 's',
      queries: [
        [p(0.5, 'drover_ingress_inter_token_seconds'), 'p50'],
        [p(0.99, 'drover_ingress_inter_token_seconds'), 'p99'],
      ],
    },
    {
      title: 'Whole answer',
      about: 'From the arrival of a request to the end of its answer.',
      unit: 's',
      queries: [
        [p(0.5, 'drover_ingress_duration_seconds', 'endpoint'), '{{endpoint}} p50'],
        [p(0.95, 'drover_ingress_duration_seconds', 'endpoint'), '{{endpoint}} p95'],
      ],
    },
  ],
  [
    {
      title: 'Waiting requests',
      about: 'Held by schedulers and not assigned, by band.',
      unit: 'short',
      queries: [['drover:queue_depth', '{{band}}']],
    },
    {
      title: 'Wait for a cluster',
      about: 'From the request being stored to its job.',
      unit: 's',
      queries: [
        [p(0.5, 'drover_scheduler_queue_wait_seconds', 'band'), '{{band}} p50'],
        [p(0.95, 'drover_scheduler_queue_wait_seconds', 'band'), '{{band}} p95'],
      ],
    },
    {
      title: 'Taken in',
      about: 'Requests per second, by band.',
      unit: 'reqps',
      queries: [['sum by (band) (rate(drover_scheduler_accepted_total[$__rate_interval]))', '{{band}}']],
    },
  ],
  [
    {
      title: 'What Drover adds',
      about: 'Time to first unit without queue and backend.',
      unit: 's',
      queries: [
        [p(0.5, 'drover_ingress_overhead_seconds'), 'p50'],
        [p(0.99, 'drover_ingress_overhead_seconds'), 'p99'],
      ],
    },
    {
      title: 'Acceptance',
      about: 'From the arrival of a request to its PubAck.',
      unit: 's',
      queries: [
        [p(0.5, 'drover_ingress_accept_seconds'), 'p50'],
        [p(0.99, 'drover_ingress_accept_seconds'), 'p99'],
      ],
    },
    {
      title: 'One decision',
      about: 'Time to decide on one request.',
      unit: 's',
      queries: [
        [p(0.5, 'drover_scheduler_decision_seconds'), 'p50'],
        [p(0.99, 'drover_scheduler_decision_seconds'), 'p99'],
      ],
    },
  ],
  [
    {
      title: 'First token inside the agent',
      about: 'From the receipt of a job to its first token.',
      unit: 's',
      queries: [[p(0.95, 'drover_agent_ttft_seconds', 'cluster', `{${here}}`), '{{cluster}} p95']],
    },
    {
      title: 'Between two tokens inside the agent',
      about: 'Of one reply.',
      unit: 's',
      queries: [[p(0.95, 'drover_agent_inter_token_seconds', 'cluster', `{${here}}`), '{{cluster}} p95']],
    },
    {
      title: 'Jobs',
      about: 'From the receipt of a job to its committed outcome.',
      unit: 's',
      queries: [[p(0.95, 'drover_agent_job_duration_seconds', 'cluster', `{${here}}`), '{{cluster}} p95']],
    },
  ],
];

const reliability: readonly Row[] = [
  [
    {
      title: 'Failures',
      about: 'Share of requests that failed by our fault, last hour.',
      unit: 'percentunit',
      kind: 'stat',
      queries: [['drover:errors:ratio_rate1h', '1 h']],
    },
    {
      title: 'Dead letters',
      about: 'Messages of the last day that nobody could process.',
      unit: 'short',
      kind: 'stat',
      queries: [
        [
          '(sum(increase(drover_scheduler_dead_letters_total[1d])) or vector(0)) + (sum(increase(drover_agent_dead_letters_total[1d])) or vector(0))',
          'letters',
        ],
      ],
    },
    {
      title: 'Streams open',
      about: 'Answers being written.',
      unit: 'short',
      kind: 'stat',
      queries: [['sum(drover_ingress_streams_open)', 'open']],
    },
  ],
  [
    {
      title: 'Outcomes',
      about: 'Requests per second, by how they ended.',
      unit: 'reqps',
      queries: [['sum by (outcome) (rate(drover_ingress_requests_total[$__rate_interval]))', '{{outcome}}']],
    },
    {
      title: 'Failure codes',
      about: 'Per second; docs/failures.md says what each means.',
      unit: 'reqps',
      queries: [
        [
          'sum by (code) (rate(drover_ingress_requests_total{outcome!="done"}[$__rate_interval]))',
          '{{code}}',
        ],
      ],
    },
  ],
  [
    {
      title: 'Breakers',
      about: '0 closed, 1 half open, 2 open.',
      unit: 'short',
      queries: [[`max by (cluster) (drover_scheduler_breaker_state{${here}})`, '{{cluster}}']],
    },
    {
      title: 'Why clusters are refused',
      about: 'In recorded decisions.',
      unit: 'short',
      queries: [
        [
          `sum by (reason) (rate(drover_scheduler_rejections_total{${here}}[$__rate_interval]))`,
          '{{reason}}',
        ],
      ],
    },
    {
      title: 'Jobs that moved',
      about: 'To another cluster, by reason.',
      unit: 'short',
      queries: [['sum by (reason) (rate(drover_scheduler_recalls_total[$__rate_interval]))', '{{reason}}']],
    },
  ],
  [
    {
      title: 'Job outcomes',
      about: 'As the agents settled them.',
      unit: 'short',
      queries: [
        [`sum by (outcome) (rate(drover_agent_jobs_total{${here}}[$__rate_interval]))`, '{{outcome}}'],
      ],
    },
    {
      title: 'Given back',
      about: 'By agents, by reason.',
      unit: 'short',
      queries: [
        [`sum by (reason) (rate(drover_agent_releases_total{${here}}[$__rate_interval]))`, '{{reason}}'],
      ],
    },
    {
      title: 'Delivered again, claims lost',
      about: 'Jobs delivered before, requests delivered before, attempts that another owner took over.',
      unit: 'short',
      queries: [
        ['sum(rate(drover_agent_redeliveries_total[$__rate_interval]))', 'jobs'],
        ['sum(rate(drover_scheduler_redeliveries_total[$__rate_interval]))', 'requests'],
        ['sum(rate(drover_agent_claims_lost_total[$__rate_interval]))', 'claims lost'],
      ],
    },
  ],
  [
    {
      title: 'Readers',
      about: 'Came back; dropped because they did not read.',
      unit: 'short',
      queries: [
        ['sum by (by) (rate(drover_ingress_resumes_total[$__rate_interval]))', 'back by {{by}}'],
        ['sum(rate(drover_ingress_slow_readers_total[$__rate_interval]))', 'dropped'],
      ],
    },
    {
      title: 'Keep-alives',
      about: 'Comments on quiet streams: many mean that answers are slow to begin.',
      unit: 'short',
      queries: [['sum(rate(drover_ingress_keepalives_total[$__rate_interval]))', 'per second']],
    },
  ],
];

/** The dashboards, by file name. */
export const dashboards = {
  cost: dashboard(
    'drover-cost',
    'Drover: cost',
    'What the fleet costs, and what a thousand tokens cost.',
    cost,
  ),
  fleet: dashboard('drover-fleet', 'Drover: fleet', 'Clusters, slots, nodes and measured speed.', [
    ...fleet,
    scaling,
  ]),
  latency: dashboard(
    'drover-latency',
    'Drover: latency and queue',
    'How long requests wait, and where.',
    latency,
  ),
  reliability: dashboard(
    'drover-reliability',
    'Drover: reliability',
    'What fails, moves and comes back.',
    reliability,
  ),
} as const;

/** A dashboard as it is committed. */
export const jsonOf = (name: keyof typeof dashboards): string =>
  `${JSON.stringify(dashboards[name], null, 2)}\n`;
