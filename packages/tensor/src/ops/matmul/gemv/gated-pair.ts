import type { Tensor } from '../../../graph/tensor.ts';
import type { KernelBuffer, KernelContext } from '../../../graph/webgpu-lowering.ts';
import { shapesEqual } from '../../../shape.ts';
import type { MatmulAttributes } from '../attributes.ts';
import type { MatmulSpec } from '../spec.ts';

/** Another product of the same left operand, whose result goes into the same epilogue: a gate and what it gates. */
export interface GatedProduct {
  readonly result: Tensor;
  /** Of the shape and dtype of the product's own right operand. */
  readonly right: Tensor;
}

/**
 * The other product of a gated pair, which a GEMV may compute too: each invocation goes along both right operands, and what
 * the two are made into is stored at once.
 */
export function gatedProduct(
  { node, companions, readable }: KernelContext<MatmulAttributes>,
  { store, batch }: MatmulSpec,
): GatedProduct | undefined {
  if (store !== 4 || batch.length > 0) return undefined;
  const [left, right] = node.inputs as readonly [Tensor, Tensor];
  const own = node.attributes;
  for (const result of companions) {
    if (result.node.op !== node.op) continue;
    const [a, b] = result.node.inputs as readonly [Tensor, Tensor];
    const attributes = result.node.attributes as MatmulAttributes;
    const alike =
      a === left &&
      b.dtype === right.dtype &&
      shapesEqual(b.shape, right.shape) &&
      attributes.transposeA === own.transposeA &&
      attributes.transposeB === own.transposeB &&
      result.dtype === node.outputs[0]!.dtype;
    if (alike && readable(b)) return { result, right: b };
  }
  return undefined;
}

/** The right operand of the other product as a buffer, `other`. */
export const gatedBuffers = (gated: GatedProduct | undefined, vector: 4 | 8): KernelBuffer[] =>
  gated ? [{ name: 'other', of: gated.right, vector }] : [];
