import { checkArguments } from '../../checks/check-arguments.ts';
import { DTypeError } from '../../checks/errors.ts';
import type { OnnxBuilder } from '../../graph/onnx-lowering.ts';
import { defineOp, type Node, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { Operand } from '../../graph/tensor-operations.ts';
import { broadcastShapes } from '../../shape.ts';
import { full } from '../create/creation.ts';
import { sumTo } from '../reduce/sum-to.ts';
import { type None, none, together } from './define-elementwise.ts';

const whereOp: Op<None> = defineOp<None>({
  name: 'where',
  shape([condition, a, b]) {
    if (condition!.dtype !== 'bool' || a!.dtype !== b!.dtype)
      throw new DTypeError(
        `where: takes a bool and two operands of one dtype, got ${condition!.dtype}, ${a!.dtype}, ${b!.dtype}`,
      );
    return [{ shape: broadcastShapes('where', [condition!.shape, a!.shape, b!.shape]), dtype: a!.dtype }];
  },
  gradient({ inputs: [condition, a, b], outputGradients }) {
    const g = outputGradients[0]!;
    return [undefined, sumTo(where(condition!, g, 0), a!.shape), sumTo(where(condition!, 0, g), b!.shape)];
  },
  lower: {
    reference: { elementwise: () => (c, a, b) => (c ? a! : b!) },
    onnx: { emit: emitWhere },
    webgpu: { expression: ([c, a, b]) => `select(${b}, ${a}, ${c} != 0u)` },
  },
});

/** The runtime has no kernel of Where for bool and u32: those are chosen as i32. */
function emitWhere(builder: OnnxBuilder, [c, a, b]: readonly string[], node: Node): string {
  const { dtype } = node.outputs[0]!;
  if (dtype !== 'bool' && dtype !== 'u32') return builder.op('Where', [c!, a!, b!]);
  return builder.cast(builder.op('Where', [c!, builder.cast(a!, 'i32'), builder.cast(b!, 'i32')]), dtype);
}

/**
 * `a` where `condition` (bool) holds, `b` elsewhere; all three broadcast.
 * @throws ShapeError where the shapes do not broadcast; DTypeError for a condition that is not bool
 */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  checkArguments('where', 'tensor', { condition });
  const [x, y] =
    typeof a === 'number' && typeof b === 'number'
      ? [full(condition.device, [], a, 'f32'), full(condition.device, [], b, 'f32')]
      : together('where', [a, b]);
  return recordOne(whereOp, [condition, x!, y!], none);
}
