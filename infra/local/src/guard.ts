import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What the guard process is told. */
export type GuardMessage = { readonly watch: number } | { readonly forget: number };

export type Guard = {
  readonly pid: number;
  watch(pid: number): void;
  forget(pid: number): void;
  /** Lets the guard go; whatever it still watches is ended by it. */
  dismiss(): void;
};

/**
 * A process that outlives this one, to end its children when this one was killed without a chance to. Not every part
 * of a run (nats-server, a llama-server from the PATH) would notice by itself.
 */
export function startGuard(): Guard {
  const child = fork(fileURLToPath(new URL('./watchdog.ts', import.meta.url)), {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  child.unref();
  child.channel?.unref();
  const tell = (message: GuardMessage) => {
    if (child.connected) child.send(message);
  };
  // Without a pid it could not be started, and 'error' has ended this process.
  const { pid = Number.NaN } = child;
  return {
    pid,
    watch: (pid) => tell({ watch: pid }),
    forget: (pid) => tell({ forget: pid }),
    dismiss: () => {
      if (child.connected) child.disconnect();
    },
  };
}
