import type { Tensor } from '../../graph/tensor.ts';

/** `coefficients[0] + coefficients[1] x + ...` by Horner's rule. */
export function polynomial(x: Tensor, coefficients: readonly number[]): Tensor {
  const [highest, ...rest] = [...coefficients].reverse();
  const [next, ...others] = rest;
  if (next === undefined) return x.mul(0).add(highest!);
  return others.reduce((sum, coefficient) => sum.mul(x).add(coefficient), x.mul(highest!).add(next));
}
