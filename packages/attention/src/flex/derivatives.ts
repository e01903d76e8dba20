import { full, gradients, isFloat, replay, type Tensor } from '@heddle/tensor';
import type { DenseSizes } from '../dense/arguments.ts';
import { withPlaces } from '../dense/places.ts';
import { type FunctionSlopes, substitutesFor, type TracedFunctions } from './trace.ts';

/** The functions with the derivatives of the score function, recorded by autograd over the same stand-ins. */
export function differentiated(traced: TracedFunctions): TracedFunctions {
  if (!traced.score || traced.slopes) return traced;
  const [score] = [...traced.standIns].find(([, name]) => name === 'score')!;
  return { ...traced, slopes: { byScore: gradients(traced.score.sum(), [score])[0]!, ...byCaptured(traced, score) } };
}

/** Captured tensors may be computed from each other: the gradients with respect to stand-ins for them count each for itself. */
function byCaptured(traced: TracedFunctions, score: Tensor): Omit<FunctionSlopes, 'byScore'> {
  const like = ({ device, shape, dtype }: Tensor) => full(device, shape, 0, dtype);
  const captured = traced.captured.map(like);
  const seed = like(score);
  const [own] = replay([traced.score!], new Map(traced.captured.map((tensor, i) => [tensor, captured[i]!])));
  const floats = captured.filter(({ dtype }) => isFloat(dtype));
  const found = gradients(own!.mul(seed).sum(), floats);
  return { seed, captured, byCaptured: captured.map((tensor) => found[floats.indexOf(tensor)]) };
}

/**
 * Gradient with respect to captured tensor `index` in tensor operations.
 *
 * @param byScore f32 `[B, H, L, S]`: the gradient with respect to what the score function gives
 * @param score f32 `[B, H, L, S]`: what it was given
 */
export function capturedGradient(
  traced: TracedFunctions,
  index: number,
  byScore: Tensor,
  score: Tensor,
  sizes: DenseSizes,
  captured: readonly Tensor[],
): Tensor {
  const substitutes = substitutesFor(traced, withPlaces(score, sizes), captured).set(traced.slopes!.seed, byScore);
  return replay([traced.slopes!.byCaptured[index]!], substitutes)[0]!;
}
