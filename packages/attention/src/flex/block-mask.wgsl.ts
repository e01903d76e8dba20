import type {
  KernelBuffer,
  KernelContext,
  KernelNames,
  Shape,
  WebGpuCapabilities,
  WebGpuLowering,
} from '@heddle/tensor';
import { type DenseAttributes, type DenseSizes, extrasOf } from '../dense/arguments.ts';
import { forwardKeys, forwardQueries } from '../tiles/flash-tile.wgsl.ts';
import { gridBuiltins, gridOf, gridPlace } from '../tiles/grid.wgsl.ts';
import { densePlace, functionsText } from './emit.wgsl.ts';
import type { TracedFunctions } from './trace.ts';

/** Queries and keys of a block: the keys of a tile, so that a tile has few blocks. */
export const blockSize = 32;

/** A workgroup for each block. */
export function maskBlocksWebGpu(traced: TracedFunctions, [b, h, rows, keys]: Shape): WebGpuLowering<DenseSizes> {
  const mask: TracedFunctions = {
    mask: traced.mask,
    score: undefined,
    standIns: traced.standIns,
    captured: traced.captured,
    key: traced.key,
  };
  return {
    supports: ({ inputs, attributes }, { maxStorageBuffers }) =>
      inputs.length + 1 <= maxStorageBuffers && functionsText(mask, densePlace(attributes)) !== undefined,
    kernels: ({ inputs, attributes }) => [
      {
        label: 'attentionMaskBlocks',
        buffers: [
          ...inputs.map((_, i): KernelBuffer => ({ name: `captured${i}`, input: i })),
          { name: 'blocks', output: 0 },
        ],
        parameters: { B: attributes.B, L: attributes.L, S: attributes.S, heads: h!, sequences: b! },
        threads: 256,
        builtins: gridBuiltins,
        workgroup: { found: { type: 'atomic<u32>', length: 2 } },
        write: (names) => {
          const { set, shared, size } = names;
          const functions = `const H = ${attributes.H}u;
var<private> batch: u32;
struct Query { row: u32, head: u32, position: i32 }
${functionsText(mask, densePlace(attributes))!(names)}`;
          const main = `  ${gridPlace(`${keys}u`, rows as number, `${size.heads} * ${size.sequences}`)}
  if (local < 2u) { atomicStore(&${shared.found}[local], 0u); }
  workgroupBarrier();
  batch = w.z / ${size.heads};
  for (var place = local; place < ${blockSize ** 2}u; place += 256u) {
    let row = w.y * ${blockSize}u + place / ${blockSize}u;
    let key = w.x * ${blockSize}u + place % ${blockSize}u;
    if (row < ${size.L} && key < ${size.S}) {
      let query = Query(row, w.z % ${size.heads}, i32(row) + i32(${size.S}) - i32(${size.L}));
      atomicStore(&${shared.found}[select(1u, 0u, mask_mod(query, key))], 1u);
    }
  }
  workgroupBarrier();
  if (local == 0u) { ${set.blocks}(number, i32(atomicLoad(&${shared.found}[0]) * (2u - atomicLoad(&${shared.found}[1])))); }`;
          return { functions, main };
        },
        workgroups: (size) => gridOf(keys as number, rows as number, size(b!) * size(h!)),
      },
    ],
  };
}

/** A kernel's blocks. */
export interface BlocksInKernel {
  readonly buffer: KernelBuffer;
  /**
   * WGSL of `blocks_of(b, head, heads, row, row_end, key, key_end) -> i32`: what is seen in a tile of rows and keys of some heads:
   * 0 nothing, 1 something, 2 all. A tile with 0 adds nothing, whatever its keys and values are.
   */
  text(names: KernelNames): string;
}

type BlocksContext = Pick<KernelContext<DenseAttributes>, 'inputs' | 'attributes'> & {
  readonly capabilities: Pick<WebGpuCapabilities, 'maxStorageBuffers'>;
};

/** The blocks of a kernel that has `outputs` buffers beside its inputs; undefined where there are none, or no room for them. */
export function blocksInKernel(
  { inputs, attributes, capabilities }: BlocksContext,
  outputs: number,
): BlocksInKernel | undefined {
  const { blocks } = extrasOf(inputs, attributes);
  if (!blocks || inputs.length + outputs > capabilities.maxStorageBuffers) return undefined;
  const [b, h] = blocks.shape;
  const head = h === 1 ? '0u' : 'h';
  return {
    buffer: { name: 'blocks', input: 3 + attributes.extras.indexOf('blocks') },
    text: ({ at, size }) => `
fn blocks_of(b: u32, head: u32, heads: u32, row: u32, row_end: u32, key: u32, key_end: u32) -> i32 {
  let rows = (${size.L} + ${blockSize - 1}u) / ${blockSize}u;
  let keys = (${size.S} + ${blockSize - 1}u) / ${blockSize}u;
  var least = 2;
  var most = 0;
  for (var h = ${h === 1 ? '0u; h < 1u' : 'head; h < head + heads'}; h++) {
    for (var y = row / ${blockSize}u; y * ${blockSize}u < min(row_end, ${size.L}); y++) {
      for (var x = key / ${blockSize}u; x * ${blockSize}u < min(key_end, ${size.S}); x++) {
        let seen = ${at.blocks}(((${b === 1 ? head : h === 1 ? 'b' : 'b * H + h'}) * rows + y) * keys + x);
        least = min(least, seen);
        most = max(most, seen);
      }
    }
  }
  return select(min(most, 1), 2, least == 2);
}`,
  };
}

/** Passes over a tile of `forwardKeys` keys that no query of a workgroup's `forwardQueries` sees, in a loop over `key_first`. */
export const skipOfQueries: string = `if (blocks_of(w.z, w.y * G, G, query_first / G, min(query_first + ${forwardQueries - 1}u, query_count - 1u) / G + 1u, key_first, key_first + ${forwardKeys}u) == 0) { continue; }`;
/** Likewise a tile of rows of head `g` of the group that see none of a workgroup's keys, in a loop over `row_first`. */
export const skipOfKeys: string = `if (blocks_of(w.z, w.y * G + g, 1u, row_first, row_first + ${forwardKeys}u, key_first, key_first + ${forwardQueries}u) == 0) { continue; }`;

/** How many inputs a kernel cannot do without. */
export function neededInputs(inputs: readonly unknown[], { extras }: DenseAttributes): number {
  return inputs.length - (extras.includes('blocks') ? 1 : 0);
}
