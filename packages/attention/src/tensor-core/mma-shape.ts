import { type MatrixFragment, matrixFragment, type TensorType, type WebGpuCapabilities } from '@heddle/tensor';

/** The largest fragment with which `heads` (`[..., D]`) can be multiplied; undefined where there is none. */
export function fragmentOf(heads: readonly TensorType[], capabilities: WebGpuCapabilities): MatrixFragment | undefined {
  const D = heads[0]!.shape.at(-1) as number;
  if (heads.some(({ dtype }) => dtype !== 'f16') || D % 16 !== 0 || D > 128) return undefined;
  return matrixFragment(capabilities, ({ M, lanes }) => lanes % M === 0);
}
