import { isFloat } from '../../dtype.ts';
import type { GradientContext, Op } from '../../graph/op.ts';
import { record } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { shapesEqual } from '../../shape.ts';
import { sumTo } from '../reduce/sum-to.ts';
import { cast } from './cast.ts';

/** Gradients with respect to the operands, before broadcasting is undone. */
type Rule = (
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  gradients: readonly Tensor[],
) => readonly (Tensor | undefined)[];

/**
 * Gradients of an application of `op` by a rule that is computed in f32, from operands and results that are wide too, and
 * stored once: f16 would round each step, and end at 65504 on the way.
 */
export function wideGradient<A>(
  op: Op<A>,
  { inputs, outputs, outputGradients, attributes }: GradientContext<A>,
  rule: Rule,
): readonly (Tensor | undefined)[] {
  const given = outputGradients as readonly Tensor[];
  const isNarrow = [...inputs, ...outputs].some(({ dtype }) => dtype === 'f16');
  const widened = (x: Tensor) => (isFloat(x.dtype) ? cast(x, 'f32') : x);
  const operands = isNarrow ? inputs.map(widened) : inputs;
  const gradients = isNarrow ? given.map(widened) : given;
  // recorded anew; where the rule does not use them, nothing computes them
  const results = isNarrow ? record(op, operands, attributes) : outputs;
  return rule(operands, results, gradients).map((found, i) => {
    if (!found) return undefined;
    const { shape, dtype } = inputs[i]!;
    const passed = gradients.indexOf(found);
    if (passed >= 0 && given[passed]!.dtype === dtype && shapesEqual(shape, found.shape)) return given[passed]!;
    return cast(sumTo(found, shape), dtype);
  });
}
