import type { Action, Command, Paths, Plan, Resource, Source, Step } from './types.ts';

/** Pure. A plan as text, with every command as it would be typed; `$D` is the deployment's folder. */
export function planText({ steps }: Plan, { folder }: Paths): string {
  const texts = steps.map((step, index) => stepText(step, index + 1, steps.length));
  return [`D=${folder}`, ...texts.map((text) => text.replaceAll(folder, '$D'))].join('\n\n');
}

export function stepText(step: Step, number: number, of: number): string {
  return [
    `${number}/${of} ${step.name}: ${step.title}`,
    `    ${step.why}`,
    ...(step.needs.length === 0 ? [] : [`    needs: ${step.needs.join(', ')}`]),
    `    cost:  ${step.cost}`,
    `    undo:  ${step.undo}`,
    ...step.actions.flatMap(actionLines).map((line) => `    ${line}`),
  ].join('\n');
}

/** What an action does, one line per command; `#` marks what is no command. */
export function actionLines(action: Action): string[] {
  switch (action.kind) {
    case 'run':
      return [
        `$ ${commandText(action.command)}`,
        ...(action.doneIf ? [`  # not if this succeeds: ${commandText(action.doneIf)}`] : []),
      ];
    case 'pipe':
      return [`$ ${commandText(action.from)} | ${commandText(action.to)}`];
    case 'kubeconfigs':
      return [
        `$ ${commandText(action.command)}`,
        `  # written to ${action.clusters.join('.kubeconfig, ')}.kubeconfig`,
      ];
    case 'make-secrets':
      return [
        `# nkeys: ${action.nkeys.join(', ')}`,
        `# an API key of the tenant ${action.tenant}, and its hash; a password for the hub's Prometheus`,
      ];
    case 'apply':
      return [`$ kubectl apply -f -   # ${resourceText(action.resource)}`];
    case 'copy':
      return [
        `$ kubectl apply -f -   # ${resourceText(action.to)}, from ${action.from.namespace}/${action.from.name} at ${action.from.cluster}`,
      ];
    case 'delegation':
      return [`$ ${commandText(action.nameServers)}`, `  # to be entered as NS of ${action.domain}, by hand`];
    case 'first-token':
      return [`# POST ${action.url}/v1/chat/completions with the key in ${action.keyFile}`];
    case 'at-hub':
      return [
        `$ ${commandText(action.forward)} &`,
        ...action.commands.map(
          (words) => `$ ${commandText({ argv: ['drover', ...words], env: action.env })}`,
        ),
      ];
    default:
      return action satisfies never;
  }
}

export const commandText = ({ argv, cwd, env = {} }: Command): string =>
  [
    ...(cwd === undefined ? [] : [`cd ${cwd} &&`]),
    ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
    ...argv.map(quoted),
  ].join(' ');

const quoted = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) || word.includes('<') ? word : `'${word}'`;

export const resourceText = ({ kind, cluster, namespace, name, entries }: Resource): string =>
  `${kind} ${namespace}/${name} at ${cluster}: ${Object.entries(entries)
    .map(([key, source]) => `${key}${sourceText(source)}`)
    .join(', ')}`;

function sourceText(source: Source): string {
  if ('file' in source) return ` from ${source.file}`;
  if ('publicKeyOf' in source) return ` from the public half of ${source.publicKeyOf}`;
  if ('htpasswdOf' in source) return ` from the hash of ${source.htpasswdOf}`;
  if ('stackOutput' in source) return ` from the stack's output ${source.stackOutput}`;
  return '';
}
