import { checkArguments } from '../../checks/check-arguments.ts';
import { defineOp, type Node, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { type None, none } from '../elementwise/define-elementwise.ts';

const identityOp: Op<None> = defineOp<None>({
  name: 'identity',
  shape: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
  gradient: ({ outputGradients: [g] }) => [g],
  decompose: ([x]) => [x!],
});

/** Another handle on the same value: a place at which a gradient can be taken. @throws ArgumentError for what is no tensor */
export function identity(x: Tensor): Tensor {
  checkArguments('identity', 'tensor', { x });
  return recordOne(identityOp, [x], none);
}

const stopGradientOp: Op<None> = defineOp<None>({
  name: 'stopGradient',
  shape: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
  gradient: () => [undefined],
  decompose: ([x]) => [x!],
});

/** Whether an application is one through which no gradient goes. */
export function isStopGradient({ op }: Node): boolean {
  return op === stopGradientOp;
}

/** The same value, a constant to gradients. @throws ArgumentError for what is no tensor */
export function stopGradient(x: Tensor): Tensor {
  checkArguments('stopGradient', 'tensor', { x });
  return recordOne(stopGradientOp, [x], none);
}
