/** A program with its arguments, as it is run: no shell reads it. */
export type Command = {
  readonly argv: readonly [string, ...string[]];
  /** A folder of the project; absent: its root. */
  readonly cwd?: 'infra';
  readonly env?: Readonly<Record<string, string>>;
};

/** Where a value of a Secret or ConfigMap comes from: a file of the deployment's folder, or what is made of one. */
export type Source =
  | { readonly file: string }
  /** The public key that belongs to the seed in this file. */
  | { readonly publicKeyOf: string }
  /** `user:hash` of the password in this file, as nginx checks it. */
  | { readonly htpasswdOf: string; readonly user: string }
  | { readonly text: string }
  /** A text that the stack tells. */
  | { readonly stackOutput: string };

/** A Secret or ConfigMap as it shall be. */
export type Resource = {
  readonly kind: 'Secret' | 'ConfigMap';
  readonly cluster: string;
  readonly namespace: string;
  readonly name: string;
  readonly type?: string;
  readonly entries: Readonly<Record<string, Source>>;
};

/** One thing that is done, and how it is seen that it needs not be done any more. */
export type Action =
  | { readonly kind: 'run'; readonly command: Command; readonly doneIf?: Command }
  | { readonly kind: 'pipe'; readonly from: Command; readonly to: Command }
  /** Writes one kubeconfig per cluster from the stack's output, and one of the hub for `argocd --core`. */
  | {
      readonly kind: 'kubeconfigs';
      readonly command: Command;
      readonly clusters: readonly string[];
      readonly hub: string;
    }
  /** Makes what is missing: seeds of nkeys, the first API key with its hash, a password. Never makes one again. */
  | { readonly kind: 'make-secrets'; readonly nkeys: readonly string[]; readonly tenant: string }
  | { readonly kind: 'apply'; readonly resource: Resource }
  /** Copies some keys of a Secret to another cluster or namespace, without touching the disk. */
  | { readonly kind: 'copy'; readonly from: Resource; readonly to: Resource; readonly file?: string }
  /** The parent zone names the name servers of the stack. A person does that; here it is seen. */
  | { readonly kind: 'delegation'; readonly domain: string; readonly nameServers: Command }
  | { readonly kind: 'first-token'; readonly url: string; readonly keyFile: string }
  /** Runs commands of `drover` while a port of the hub's NATS is forwarded to this machine. */
  | {
      readonly kind: 'at-hub';
      readonly forward: Command;
      readonly env: Readonly<Record<string, string>>;
      readonly commands: readonly (readonly string[])[];
    };

export type Step = {
  readonly name: string;
  readonly title: string;
  readonly why: string;
  /** Names of steps that come first. */
  readonly needs: readonly string[];
  /** What it adds to the bill, in words; figures are marked as quoted. */
  readonly cost: string;
  readonly undo: string;
  readonly actions: readonly Action[];
};

/** Something that has to be there before the first step. */
export type Prerequisite = {
  readonly name: string;
  readonly code: 'missing_tool' | 'missing_login' | 'missing_configuration';
  /** How to get it. */
  readonly how: string;
  readonly check:
    | {
        readonly kind: 'version';
        readonly command: Command;
        readonly pattern: RegExp;
        readonly least: string;
      }
    /** The program ends well, and says this text when one is given. */
    | { readonly kind: 'answers'; readonly command: Command; readonly expected?: string }
    | { readonly kind: 'known'; readonly problem: string | undefined };
};

export type Plan = {
  readonly environment: string;
  readonly prerequisites: readonly Prerequisite[];
  readonly steps: readonly Step[];
};

/** The folder of a deployment: keys and kubeconfigs, readable by their owner only. */
export type Paths = { readonly folder: string };
