import type { TensorType, WebGpuCapabilities } from '@heddle/tensor';

/** What the adapter multiplies at once: M x K by K x N values, f16 by f16 into f32. */
export interface Fragment {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** Lanes of a subgroup. */
  readonly lanes: number;
}

/** The largest fragment with which `heads` (`[..., D]`) can be multiplied; undefined where there is none. */
export function fragmentOf(heads: readonly TensorType[], capabilities: WebGpuCapabilities): Fragment | undefined {
  const { shaderF16, subgroupId, subgroupMinSize: lanes, subgroupMaxSize, subgroupMatrices } = capabilities;
  const D = heads[0]!.shape.at(-1) as number;
  const halves = shaderF16 && heads.every(({ dtype }) => dtype === 'f16');
  // lanes have rows of a tile to themselves, so the size of subgroups must be known
  if (!halves || !subgroupId || lanes !== subgroupMaxSize || D % 16 !== 0 || D > 128) return undefined;
  const shape = subgroupMatrices
    .filter(({ componentType, resultComponentType }) => componentType === 'f16' && resultComponentType === 'f32')
    .filter(({ M, N, K }) => [M, N, K].every((size) => size === 8 || size === 16) && lanes % M === 0)
    .sort((a, b) => b.M * b.N * b.K - a.M * a.N * a.K)[0];
  return shape && { M: shape.M, N: shape.N, K: shape.K, lanes };
}
