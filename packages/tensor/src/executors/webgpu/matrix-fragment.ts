import type { WebGpuCapabilities } from '../../graph/webgpu-lowering.ts';

/** What an adapter multiplies at once: M x K by K x N values, f16 by f16 into f32. */
export interface MatrixFragment {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** Lanes of a subgroup. */
  readonly lanes: number;
}

/**
 * The largest fragment of matrices that a kernel may take, of those with sides of 8 and 16; undefined where an adapter has none, or
 * where the size of subgroups is not known, as lanes have rows of a tile to themselves.
 *
 * @param fits which of them the kernel can use: by default all
 */
export function matrixFragment(
  { shaderF16, subgroupId, subgroupMinSize: lanes, subgroupMaxSize, subgroupMatrices }: WebGpuCapabilities,
  fits: (fragment: MatrixFragment) => boolean = () => true,
): MatrixFragment | undefined {
  if (!shaderF16 || !subgroupId || lanes !== subgroupMaxSize) return undefined;
  return subgroupMatrices
    .filter(({ componentType, resultComponentType }) => componentType === 'f16' && resultComponentType === 'f32')
    .map(({ M, N, K }) => ({ M, N, K, lanes }))
    .filter(
      (fragment) => [fragment.M, fragment.N, fragment.K].every((size) => size === 8 || size === 16) && fits(fragment),
    )
    .sort((a, b) => b.M * b.N * b.K - a.M * a.N * a.K)[0];
}
