import type { RejectionCode } from '@drover/schemas';
import type { ClusterView } from '../types.ts';
import type { Filter } from './filter.ts';

const phaseFilter = (phase: ClusterView['phase'], code: RejectionCode, detail: string): Filter => ({
  code,
  permanent: false,
  refuses: ({ candidate: { view } }) => (view.phase === phase ? detail : undefined),
});

export const notBooting = phaseFilter('booting', 'booting', 'the backend is starting');
export const notDraining = phaseFilter('draining', 'draining', 'the agents are leaving');
export const backendUp = phaseFilter('down', 'backend-down', 'the backend does not answer');
