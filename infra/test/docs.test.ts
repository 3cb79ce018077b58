import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  cloudSpotTaints,
  clouds,
  defaultMachines,
  gpuTaint,
  poolKinds,
  poolLabel,
  registrationAnnotations,
  registrationLabels,
  spotTaint,
  type Taint,
} from '../src/spec.ts';

const guide = readFileSync(new URL('../../docs/infra.md', import.meta.url), 'utf8');
const told = (text: string): void =>
  assert.ok(guide.includes(`\`${text}\``), `docs/infra.md does not tell ${text}`);
const written = ({ key, value, effect }: Taint): string => `${key}=${value}:${effect}`;

test('the guide tells every label, annotation and taint of the spec, and no other', () => {
  const known = [poolLabel, ...Object.values(registrationLabels), ...Object.values(registrationAnnotations)];
  for (const key of known) told(key);
  for (const taint of [spotTaint, gpuTaint, ...cloudSpotTaints.azure]) told(written(taint));
  for (const [, key] of guide.matchAll(/`(drover\.dev\/[a-z-]+)`/g))
    assert.ok(
      known.some((one) => one === key),
      `docs/infra.md tells ${key}, which is not in the spec`,
    );
});

test('the guide tells the machines that are used by default', () => {
  for (const cloud of clouds) for (const kind of poolKinds) told(defaultMachines[cloud][kind]);
});
