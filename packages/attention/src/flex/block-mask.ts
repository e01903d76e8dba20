import { type Device, defineOp, type Op, pad, recordOn, replay, type Shape, type Tensor } from '@heddle/tensor';
import type { DenseSizes } from '../dense/arguments.ts';
import { withPlaces } from '../dense/places.ts';
import { blockSize, maskBlocksWebGpu } from './block-mask.wgsl.ts';
import { substitutesFor, type TracedFunctions } from './trace.ts';

/** Sizes of the attention, and equal for functions that compute the same. */
interface BlockAttributes extends DenseSizes {
  readonly functions: string;
}

/**
 * Which blocks of 32 queries and 32 keys a mask function sees: i32 `[B or 1, H or 1, L / 32, S / 32]` (the last two rounded up), 0 for
 * none of a block's places, 1 for some, 2 for all. 1 where the mask does not depend on the sequence or the head. A block with 0
 * is passed over by the kernels of attention and its gradients, which compute it once for all of them.
 *
 * Undefined where there is no mask function, or L or S is a symbolic dimension.
 */
export function maskBlocks(device: Device, traced: TracedFunctions, sizes: DenseSizes): Tensor | undefined {
  const { L, S } = sizes;
  if (!traced.mask || typeof L !== 'number' || typeof S !== 'number') return undefined;
  const attributes: BlockAttributes = { ...sizes, functions: traced.key };
  return recordOn(device, maskBlocksOp(traced, L, S), traced.captured, attributes)[0]!;
}

function maskBlocksOp(traced: TracedFunctions, L: number, S: number): Op<BlockAttributes> {
  const mask = traced.mask!;
  const [b, h] = [...Array<number>(4 - mask.rank).fill(1), ...mask.shape];
  const blocks: Shape = [b!, h!, Math.ceil(L / blockSize), Math.ceil(S / blockSize)];
  /** Whether there is a place in each block for which `x`, bool, is true. */
  const some = (x: Tensor): Tensor => {
    const [rows, keys] = [blocks[2] as number, blocks[3] as number];
    return pad(x.cast('i32'), [0, 0, 0, 0], [0, 0, rows * blockSize - L, keys * blockSize - S])
      .reshape([b!, h!, rows, blockSize, keys, blockSize])
      .sum([3, 5])
      .greater(0)
      .cast('i32');
  };
  return defineOp<BlockAttributes>({
    name: 'attentionMaskBlocks',
    // its attributes say what the function computes
    key: 'of a function',
    shape: () => [{ shape: blocks, dtype: 'i32' }],
    decompose(captured, sizes) {
      const [score] = [...traced.standIns].find(([, name]) => name === 'score')!;
      const [own] = replay([mask], substitutesFor(traced, withPlaces(score, sizes), captured));
      const seen = own!.expand([b!, h!, L, S]);
      return [some(seen).mul(some(seen.not()).neg().add(2))];
    },
    lower: { webgpu: maskBlocksWebGpu(traced, blocks) },
  });
}
