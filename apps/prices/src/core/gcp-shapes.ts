/** How the catalogue calls a family, and GiB of memory per virtual CPU of its shapes (cloud.google.com/compute/docs). */
const families = {
  n1: { title: 'N1 Predefined', gibPerCpu: { standard: 3.75, highmem: 6.5, highcpu: 0.9 } },
  n2: { title: 'N2', gibPerCpu: { standard: 4, highmem: 8, highcpu: 1 } },
  n2d: { title: 'N2D AMD', gibPerCpu: { standard: 4, highmem: 8, highcpu: 1 } },
  e2: { title: 'E2', gibPerCpu: { standard: 4, highmem: 8, highcpu: 1 } },
} as const satisfies Record<string, { title: string; gibPerCpu: Record<string, number> }>;

export type MachineShape = { readonly title: string; readonly cpus: number; readonly memoryGib: number };

/**
 * Pure. What a machine type is made of: `n1-standard-2` is 2 virtual CPUs and 7.5 GiB. Undefined for a family or shape that is
 * not in the table: the catalogue prices cores and memory and does not know machine types.
 */
export function machineShape(type: string): MachineShape | undefined {
  const match = /^(n1|n2|n2d|e2)-(standard|highmem|highcpu)-(\d{1,3})$/.exec(type);
  if (!match) return undefined;
  const { title, gibPerCpu } = families[match[1] as keyof typeof families];
  const cpus = Number(match[3]);
  return cpus === 0
    ? undefined
    : { title, cpus, memoryGib: cpus * gibPerCpu[match[2] as keyof typeof gibPerCpu] };
}
