import { describe } from '../../checks/describe.ts';
import { ArgumentError, DTypeError } from '../../checks/errors.ts';
import { type DType, isFloat, promote } from '../../dtype.ts';
import type { OnnxBuilder } from '../../graph/onnx-lowering.ts';
import { defineOp, type GradientContext, type Op } from '../../graph/op.ts';
import { recordOne, refuseStored } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { Operand } from '../../graph/tensor-operations.ts';
import type { Prelude } from '../../graph/webgpu-lowering.ts';
import { broadcastShapes } from '../../shape.ts';
import { checkHolds, full } from '../create/creation.ts';
import { cast } from './cast.ts';
import { wideGradient } from './wide-gradient.ts';

/** An elementwise operation has no attributes. */
export type None = Readonly<Record<never, never>>;
export const none: None = Object.freeze({});

type Numbers = 'float' | 'signed' | 'number' | 'bool' | 'u32' | 'integer' | 'any';
const accepts: Readonly<Record<Numbers, (dtype: DType) => boolean>> = {
  float: isFloat,
  signed: (dtype) => isFloat(dtype) || dtype === 'i32',
  number: (dtype) => dtype !== 'bool',
  bool: (dtype) => dtype === 'bool',
  u32: (dtype) => dtype === 'u32',
  integer: (dtype) => dtype === 'i32' || dtype === 'u32',
  any: () => true,
};

/** One row of the table of elementwise operations: a rule in the words of each executor. */
export interface Elementwise {
  readonly name: string;
  /** What dtypes the operands may have; all the same, after promotion. */
  readonly takes: Numbers;
  /** bool for comparisons; otherwise the operands' dtype. */
  readonly gives?: 'bool';
  reference(...values: number[]): number;
  /** The same for integers, where float64 does not hold what wraps around to the result. */
  wrapped?(...values: number[]): number;
  /** An operator of ONNX with the operands as inputs, or nodes. */
  readonly onnx: string | ((builder: OnnxBuilder, inputs: readonly string[], dtype: DType) => string);
  /** WGSL of the operands' values; bool is `u32` 0 or 1. */
  webgpu(values: readonly string[], dtype: DType, prelude: Prelude): string;
  /** Gradients with respect to the operands, in f32, before broadcasting is undone; none for operations that are flat wherever they are smooth. */
  gradient?(inputs: readonly Tensor[], output: Tensor, gradient: Tensor): readonly (Tensor | undefined)[];
}

/** Defines an elementwise operation whose operands broadcast by NumPy's rule. */
function defineElementwise(row: Elementwise): Op<None> {
  const { name, onnx, gradient } = row;
  const op: Op<None> = defineOp<None>({
    name,
    shape(inputs) {
      const dtype = inputs[0]!.dtype;
      for (const input of inputs)
        if (!accepts[row.takes](input.dtype) || input.dtype !== dtype)
          throw new DTypeError(
            `${name}: operands must be ${row.takes === 'any' ? 'of one dtype' : row.takes}, got ${inputs.map((i) => i.dtype).join(' and ')}`,
          );
      return [
        {
          shape: broadcastShapes(
            name,
            inputs.map((input) => input.shape),
          ),
          dtype: row.gives ?? dtype,
        },
      ];
    },
    gradient(context: GradientContext<None>) {
      if (!gradient) return context.inputs.map(() => undefined);
      return wideGradient(op, context, (inputs, [y], [g]) => gradient(inputs, y!, g!));
    },
    lower: {
      reference: {
        elementwise: (_, dtype) => (row.wrapped && !isFloat(dtype) ? row.wrapped : row.reference),
      },
      onnx: {
        emit: (builder, inputs, node) =>
          typeof onnx === 'string' ? builder.op(onnx, inputs) : onnx(builder, inputs, node.inputs[0]!.dtype),
      },
      webgpu: { expression: (values, _, node, prelude) => row.webgpu(values, node.inputs[0]!.dtype, prelude) },
    },
  });
  return op;
}

/** @throws ArgumentError for operands that are neither tensors nor numbers, or none of them a tensor; DTypeError for one that is storage-only */
export function checkOperands(name: string, operands: readonly Operand[]): void {
  if (operands.every((x) => typeof x === 'number')) throw new ArgumentError(`${name}: one operand must be a tensor`);
  operands.forEach((x, i) => {
    if (typeof x === 'number') return;
    if (!(x as Tensor | undefined)?.node)
      throw new ArgumentError(`${name}: operand ${i} must be a tensor or a number, got ${describe(x)}`);
    x.assertUsable(name);
    refuseStored(name, x.dtype, i);
  });
}

/** Brings operands to tensors of one dtype. */
export function together(name: string, operands: readonly Operand[]): readonly Tensor[] {
  checkOperands(name, operands);
  const tensors = operands.filter((x): x is Tensor => typeof x !== 'number');
  const dtype = tensors.map((t) => t.dtype).reduce(promote);
  return operands.map((x) => {
    if (typeof x !== 'number') return cast(x, dtype);
    checkHolds(name, dtype, x);
    return full(tensors[0]!.device, [], x, dtype);
  });
}

/** The function that records an operation of one operand. */
export function unary(row: Elementwise): (x: Tensor) => Tensor {
  const op = defineElementwise(row);
  return (x) => recordOne(op, [x], none);
}

/** The function that records an operation of two operands, brought to one dtype. */
export function binary(row: Elementwise): (a: Operand, b: Operand) => Tensor {
  const op = defineElementwise(row);
  return (a, b) => recordOne(op, together(row.name, [a, b]), none);
}
