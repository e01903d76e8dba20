import { checkArguments } from '../checks/check-arguments.ts';
import { ArgumentError, ShapeError } from '../checks/errors.ts';
import { defineOp, type Op } from '../graph/op.ts';
import { record } from '../graph/record.ts';
import { replay } from '../graph/replay.ts';
import type { Tensor } from '../graph/tensor.ts';
import { full } from '../ops/create/creation.ts';
import { type None, none } from '../ops/elementwise/define-elementwise.ts';
import { identity } from '../ops/movement/identity.ts';
import { formatShape, shapesEqual } from '../shape.ts';
import { refusePromises } from '../tree.ts';

/** What a gradient rule of one's own sees of an application. */
export interface VjpContext {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Gradient of the scalar by each output, zeros where nothing depends on it. */
  readonly outputGradients: readonly Tensor[];
}

/**
 * The same function with a gradient rule of one's own: `vjp` gives the gradients with respect to the arguments, undefined where there is
 * none. Both only record; `fn` gives a tensor or a list of them. Tensors that `fn` uses from outside count as constants.
 *
 * ```ts
 * // rounds, and passes the gradient on as it is
 * const straightThrough = customVjp((x: Tensor) => round(x), ({ outputGradients: [g] }) => [g]);
 * ```
 * The returned function throws ArgumentError for no arguments; taking the gradient throws ShapeError or ArgumentError where
 * the rule's result does not fit the arguments.
 */
export function customVjp<A extends readonly Tensor[], R extends Tensor | readonly Tensor[]>(
  fn: (...args: A) => R,
  vjp: (context: VjpContext) => readonly (Tensor | undefined)[],
): (...args: A) => R {
  checkArguments('customVjp', 'function', { fn, vjp });
  return (...args) => {
    if (args.length === 0) throw new ArgumentError('customVjp: the function takes at least one tensor');
    const standIns = args.map((arg) => identity(arg));
    const result = fn(...(standIns as unknown as A));
    refusePromises('customVjp', result);
    const single = !Array.isArray(result);
    const outputs = (single ? [result] : result) as readonly Tensor[];
    const results = record(customOp(outputs, standIns, vjp), args, none);
    return (single ? results[0] : results) as R;
  };
}

function customOp(
  outputs: readonly Tensor[],
  standIns: readonly Tensor[],
  vjp: (context: VjpContext) => readonly (Tensor | undefined)[],
): Op<None> {
  return defineOp<None>({
    name: 'customVjp',
    shape: () => outputs.map(({ shape, dtype }) => ({ shape, dtype })),
    decompose: (inputs) => replay(outputs, new Map(standIns.map((standIn, i) => [standIn, inputs[i]!]))),
    gradient({ inputs, outputs: own, outputGradients: given }) {
      const outputGradients = own.map(({ device, shape, dtype }, i) => given[i] ?? full(device, shape, 0, dtype));
      const by = vjp({ inputs, outputs: own, outputGradients });
      if (by.length !== inputs.length)
        throw new ArgumentError(`customVjp: the rule must give ${inputs.length} gradients, gave ${by.length}`);
      by.forEach((gradient, i) => {
        if (gradient && !shapesEqual(gradient.shape, inputs[i]!.shape))
          throw new ShapeError(
            `customVjp: gradient ${i} must have the shape ${formatShape(inputs[i]!.shape)} of its argument, got ${formatShape(gradient.shape)}`,
          );
      });
      return by;
    },
  });
}
