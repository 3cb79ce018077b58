/** Student's t for a two-sided 95 % interval, by degrees of freedom. */
const t95 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145,
];

export type Estimate = {
  readonly mean: number;
  /** Half the width of the 95 % interval; NaN for one value. */
  readonly half: number;
};

export function estimate(values: readonly number[]): Estimate {
  const n = values.length;
  const mean = values.reduce((a, b) => a + b, 0) / n;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  return { mean, half: (t95[n - 2] ?? 1.96) * Math.sqrt(variance / n) };
}
