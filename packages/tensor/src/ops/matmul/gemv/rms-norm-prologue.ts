import type { Tensor } from '../../../graph/tensor.ts';
import type { KernelBuffer, KernelContext, KernelNames } from '../../../graph/webgpu-lowering.ts';
import { castOp } from '../../elementwise/cast.ts';
import { rmsNormOp } from '../../rows/rms-norm.ts';
import { inverseRoot, scaledSquares4 } from '../../rows/square-scale.ts';
import type { MatmulAttributes } from '../attributes.ts';
import type { MatmulOperand, MatmulSpec } from '../spec.ts';

/** An RMS norm whose result is the left operand of a product. */
export interface RmsNormPrologue {
  /** `[1, k]`, before the norm. */
  readonly x: Tensor;
  /** `[k]` */
  readonly gain: Tensor;
  readonly epsilon: number;
}

/**
 * The RMSNorm prologue of a product, where a GEMV may compute it on the way: every workgroup reads the whole row, and
 * has the sum of its squares when it has the product of row and gain. The norm's own kernel is then left out, which takes about
 * as long as such a product, if nothing else needs its result.
 */
export function rmsNormPrologue(
  { node, readable }: KernelContext<MatmulAttributes>,
  { k }: MatmulSpec,
): RmsNormPrologue | undefined {
  const [left] = node.inputs;
  const normed = left!.node.op === castOp ? left!.node.inputs[0]! : left!;
  const { op, inputs, attributes } = normed.node;
  const [x, gain] = inputs;
  if (op !== rmsNormOp || x!.shape.at(-1) !== k || !readable(x!) || !readable(gain!)) return undefined;
  return { x: x!, gain: gain!, epsilon: (attributes as { readonly epsilon: number }).epsilon };
}

/** What a GEMV reads as `a`, by vec4: the operand, or row and gain of an RMSNorm prologue. */
export function leftBuffers(
  { source }: MatmulOperand,
  norm: RmsNormPrologue | undefined,
  vector: 1 | 4 = 4,
): KernelBuffer[] {
  if (!norm) return [{ name: 'a', ...source, vector }];
  return [
    { name: 'a', of: norm.x, vector: 4 },
    { name: 'gain', of: norm.gain, vector: 4 },
  ];
}

/** WGSL of what a sum of products has to be multiplied by, from the sum of the row's squares. */
export const normFactor = ({ epsilon }: RmsNormPrologue, squares: string, { size, prelude }: KernelNames): string =>
  inverseRoot(`${squares} / f32(${size.k})`, epsilon, prelude);

/** WGSL of the sum of the squares of four values, as `normFactor` takes it. */
export const squaresOf = ({ epsilon }: RmsNormPrologue, four: string, { size, prelude }: KernelNames): string =>
  scaledSquares4(four, epsilon, size.k!, prelude);
