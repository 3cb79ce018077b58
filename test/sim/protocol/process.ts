import type { Owner, Task, VirtualClock } from './clock.ts';
import { Link } from './link.ts';
import type { Random } from './random.ts';

export type Role = 'scheduler' | 'agent' | 'ingress';

/** One process of the simulated system: its code runs on the virtual clock, and reaches the others over its link only. */
export class SimProcess implements Owner {
  readonly name: string;
  readonly role: Role;
  readonly skewMs: number;
  readonly backlog: Task[] = [];
  readonly link: Link;
  state: Owner['state'] = 'alive';
  readonly #clock: VirtualClock;

  constructor(clock: VirtualClock, random: Random, role: Role, name: string) {
    this.#clock = clock;
    this.role = role;
    this.name = name;
    this.skewMs = Math.floor(random.between(-150, 150));
    this.link = new Link(clock, random, this);
  }

  /** SIGKILL. What it has sent may still arrive. */
  kill(): void {
    if (this.state === 'dead') return;
    this.state = 'dead';
    this.link.close();
  }

  /** SIGSTOP. */
  pause(): void {
    if (this.state === 'alive') this.state = 'paused';
  }

  /** SIGCONT. Whether due timers or waiting input come first depends on where it was stopped. */
  resume(timersFirst: boolean): void {
    if (this.state !== 'paused') return;
    this.state = 'alive';
    const kept = this.backlog.splice(0).filter(({ cancelled }) => !cancelled);
    const [first, second] = [kept.filter((one) => one.isTimer), kept.filter((one) => !one.isTimer)];
    for (const task of timersFirst ? [...first, ...second] : [...second, ...first]) this.#clock.requeue(task);
  }
}
