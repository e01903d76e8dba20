import type { Dim } from '../dim.ts';
import type { DType } from '../dtype.ts';
import type { Shape } from '../shape.ts';
import type { Device } from './device.ts';
import type { Tensor } from './tensor.ts';

/** An operand: a tensor, or a number that takes the other's dtype, which must hold it: no fraction beside an integer. */
export type Operand = Tensor | number;

/** Which operands are transposed in their last two axes, and the dtype of the result, by default the operands' own. */
export interface MatmulOptions {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  readonly dtype?: 'f32' | 'f16';
}

/** Methods of a tensor that record an operation. */
type MethodName =
  | 'abs'
  | 'add'
  | 'and'
  | 'argmax'
  | 'argmin'
  | 'atan2'
  | 'cast'
  | 'ceil'
  | 'clip'
  | 'cos'
  | 'cumsum'
  | 'diag'
  | 'div'
  | 'equal'
  | 'exp'
  | 'expand'
  | 'flatten'
  | 'flip'
  | 'floor'
  | 'gelu'
  | 'greater'
  | 'greaterEqual'
  | 'less'
  | 'lessEqual'
  | 'log'
  | 'log10'
  | 'log2'
  | 'matmul'
  | 'max'
  | 'maximum'
  | 'mean'
  | 'min'
  | 'minimum'
  | 'mul'
  | 'neg'
  | 'norm'
  | 'not'
  | 'notEqual'
  | 'or'
  | 'outer'
  | 'permute'
  | 'pow'
  | 'prod'
  | 'relu'
  | 'remainder'
  | 'reshape'
  | 'round'
  | 'rsqrt'
  | 'sigmoid'
  | 'sin'
  | 'slice'
  | 'softmax'
  | 'sqrt'
  | 'square'
  | 'squeeze'
  | 'std'
  | 'sub'
  | 'sum'
  | 'take'
  | 'tan'
  | 'tanh'
  | 'transpose'
  | 'unsqueeze'
  | 'variance';

/**
 * The operations that tensors and devices have as methods. The device carries them to its tensors, so that the graph knows
 * no operation by import, and operations can be recorded on the graph.
 */
export type TensorOperations = {
  readonly [Name in MethodName]: (x: Tensor, ...rest: Parameters<Tensor[Name]>) => Tensor;
} & {
  arange(device: Device, length: Dim, dtype?: DType): Tensor;
  concat(tensors: readonly Tensor[], axis: number): Tensor;
  full(device: Device, shape: Shape, value: number, dtype?: DType): Tensor;
  identity(x: Tensor): Tensor;
  where(condition: Tensor, a: Operand, b: Operand): Tensor;
};
