import { checkArgument, number } from '../checks.ts';

/** A stream of numbers in [0, 1): the same seed gives the same stream. */
export type Random = () => number;

/** A counter through a 32-bit mixing function: fast, seedable, good enough to draw loads and test cases from. @throws BatcherError ERR_ARGUMENT */
export function seededRandom(seed: number): Random {
  checkArgument('seededRandom', 'seed', seed, number);
  let counter = Math.imul(seed | 0, 0x9e3779b1);
  return () => {
    counter = (counter + 0x6d2b79f5) | 0;
    let x = counter;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Standard normal (Box and Muller). */
export function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Gamma with mean 1 and the given shape (Marsaglia and Tsang, https://doi.org/10.1145/358407.358414). */
export function gamma(random: Random, shape: number): number {
  if (shape < 1) return (gamma(random, shape + 1) * (shape + 1) * (1 - random()) ** (1 / shape)) / shape;
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(random);
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return (d * v) / shape;
  }
}
