import type { KernelCall, KernelContext, MatrixFragment } from '@heddle/tensor';
import { type DenseAttributes, sizesOf } from '../dense/arguments.ts';
import type { FunctionsInKernel } from '../flex/emit.wgsl.ts';
import { keyGradientMatrix, queryGradientMatrix } from './dense-backward.wgsl.ts';
import { denseForwardMatrix } from './dense-forward.wgsl.ts';
import type { GradientTile } from './gradient-tile.ts';
import { fragmentOf } from './mma-shape.ts';
import { forwardTileFor, gradientTileFor } from './tiles.ts';

/** The forward kernel by subgroup matrices; undefined where it cannot compute this, and the kernel for all adapters does. */
export function denseForwardByMatrix(
  context: KernelContext<DenseAttributes>,
  functions: FunctionsInKernel | undefined,
): KernelCall | undefined {
  const { inputs, capabilities } = context;
  const fragment = fragmentOf(inputs.slice(0, 3), capabilities);
  const tile = fragment && forwardTileFor(fragment, sizesOf(inputs).D, capabilities);
  return tile && denseForwardMatrix(context, functions, fragment, tile);
}

/** Likewise the kernels of the gradients, which know no dropout. */
export function denseGradientByMatrix(
  of: 'query' | 'key',
  context: KernelContext<DenseAttributes>,
  functions: FunctionsInKernel | undefined,
): KernelCall | undefined {
  const { inputs, attributes, capabilities } = context;
  if (attributes.dropout) return undefined;
  const fragment = fragmentOf([...inputs.slice(0, 3), inputs.at(-2)!], capabilities);
  const tile = fragment && gradientTileFor(of, fragment, sizesOf(inputs).D, capabilities);
  return tile && gradientKernels[of](context, functions, fragment, tile);
}

const gradientKernels: Record<
  'query' | 'key',
  (
    context: KernelContext<DenseAttributes>,
    functions: FunctionsInKernel | undefined,
    fragment: MatrixFragment,
    tile: GradientTile,
  ) => KernelCall
> = { query: queryGradientMatrix, key: keyGradientMatrix };
