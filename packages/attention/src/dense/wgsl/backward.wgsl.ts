import type { KernelBuffer, KernelCall, KernelContext, KernelNames, TensorType, WebGpuLowering } from '@heddle/tensor';
import { type BlocksInKernel, blocksInKernel, skipOfKeys, skipOfQueries } from '../../flex/block-mask.wgsl.ts';
import { extraBuffers, type FunctionsInKernel, functionsInKernel } from '../../flex/emit.wgsl.ts';
import type { TracedFunctions } from '../../flex/trace.ts';
import { denseGradientByMatrix } from '../../tensor-core/choice.ts';
import {
  forwardKeys,
  forwardQueries,
  loadGradient,
  loadKey,
  loadQuery,
  loadValue,
  tileMemory,
  tilePlaces,
  tileProduct,
  tileResults,
  tileStore,
  tileSum,
  tileSums,
  tileText,
} from '../../tiles/flash-tile.wgsl.ts';
import { gridBuiltins, gridOf, gridPlace } from '../../tiles/grid.wgsl.ts';
import { headVector, loadHead4, storeHead4 } from '../../tiles/head-access.wgsl.ts';
import { f32 } from '../../tiles/score.wgsl.ts';
import { type DenseAttributes, sizesOf } from '../arguments.ts';
import { denseScores, hasSlope, keyRange, probabilityText, rowRange, statisticsText } from './scores.wgsl.ts';
import { segmentMemoryOf } from './segments.wgsl.ts';

/** Inputs as `dense-gradients.ts` says: those of the attention, then the output gradient and the statistics. */
export const supportsGradient =
  (
    outputs: number,
    functions: TracedFunctions | undefined,
  ): NonNullable<Extract<WebGpuLowering<DenseAttributes>, { kernels: unknown }>['supports']> =>
  ({ inputs, attributes }, { shaderF16, maxStorageBuffers }) => {
    const oddHalves =
      inputs.slice(0, 3).some(({ dtype }) => dtype === 'f16') && !shaderF16 && sizesOf(inputs).D % 4 !== 0;
    return (
      !oddHalves &&
      gradientBuffers(inputs, attributes, undefined).length + outputs <= maxStorageBuffers &&
      (!functions || functionsInKernel(functions, inputs) !== undefined)
    );
  };

/** Gradient with respect to q: as the forward kernel, over tiles of keys. */
export const queryGradientWebGpu = (functions?: TracedFunctions): WebGpuLowering<DenseAttributes> => ({
  supports: supportsGradient(1, functions),
  kernels(context): readonly KernelCall[] {
    const { inputs, attributes } = context;
    const own = functions && functionsInKernel(functions, inputs);
    const matrix = denseGradientByMatrix('query', context, own);
    if (matrix) return [matrix];
    const { B, L, S, H, K, D } = sizesOf(inputs);
    const { dropout, scale } = attributes;
    const slope = slopeIn(attributes, own);
    const blocks = blocksInKernel(context, 1);
    const G = H / K;
    return [
      {
        label: 'attentionQueryGradient',
        buffers: [...gradientBuffers(inputs, attributes, blocks), { name: 'dq', output: 0, vector: headVector(D) }],
        parameters: { B, L, S },
        threads: 256,
        builtins: gridBuiltins,
        workgroup: { ...tileMemory(D), ...segmentMemoryOf(attributes) },
        write: (names) => {
          const { size } = names;
          const functions = gradientText(names, context, own, blocks);
          const main = `  ${gridPlace(`(${size.L} * G + ${forwardQueries - 1}u) / ${forwardQueries}u`, K, size.B!)}
  batch = w.z;
  kv_head = w.y;
  let query_count = ${size.L} * G;
  // the queries with most keys come first
  let query_first = (tiles - 1u - w.x) * ${forwardQueries}u;
  ${keyRange(names, attributes, `min(query_first + ${forwardQueries - 1}u, query_count - 1u) / G`, 'query_first / G')}
  ${tilePlaces(names, D)}
  ${[0, 1].map((r) => `let id_${r} = min(query_first + ty * 2u + ${r}u, query_count - 1u); let query_${r} = query_of(id_${r}); let softmax_${r} = softmax_at(place_of(id_${r})); let delta_${r} = delta_at(place_of(id_${r}));`).join('\n')}
  ${tileSums('o', D)}
  for (var key_first = key_begin; key_first < key_end; key_first += ${forwardKeys}u) {
    ${blocks ? skipOfQueries : ''}
    ${tileProduct(names, 's', loadQuery, loadKey, D)}
    ${tileProduct(names, 'd', loadGradient, loadValue, D)}
    ${dropout ? [0, 1].map((r) => `let kept_${r} = dropout4(query_${r}, key_first / 4u + tx);`).join(' ') : ''}
    ${tileStore(names, (r, i) => `share(probability(s${r}${i}, query_${r}, key_first + tx * 4u + ${i}u, softmax_${r}), (d${r}${i}${dropout ? ` * kept_${r}[${i}]` : ''} - delta_${r})${slope(`s${r}${i}`, `query_${r}`, `key_first + tx * 4u + ${i}u`)})`)}
    ${tileSum(names, 'o', loadKey, D)}
  }
  ${tileResults('o', D, (row, c, value) => `if (query_first + ${row} < query_count) { let query = query_first + ${row}; ${storeHead4(names, 'dq', queryHead(names), c, `(${value} * ${f32(scale)})`, D)} }`)}`;
          return { functions, main };
        },
        workgroups: (size) => gridOf(Math.ceil((size(L) * G) / forwardQueries), K, size(B)),
      },
    ];
  },
});

/** Gradients with respect to k and v: a workgroup for a tile of keys, over tiles of the queries of each head of the group, without atomics. */
export const keyGradientWebGpu = (functions?: TracedFunctions): WebGpuLowering<DenseAttributes> => ({
  supports: supportsGradient(2, functions),
  kernels(context): readonly KernelCall[] {
    const { inputs, attributes } = context;
    const own = functions && functionsInKernel(functions, inputs);
    const matrix = denseGradientByMatrix('key', context, own);
    if (matrix) return [matrix];
    const { B, L, S, K, D } = sizesOf(inputs);
    const { dropout, scale } = attributes;
    const slope = slopeIn(attributes, own);
    const blocks = blocksInKernel(context, 2);
    const vector = headVector(D);
    const kept = (r: number, i: number) => (dropout ? ` * kept_${i}[${r}]` : '');
    return [
      {
        label: 'attentionKeyGradient',
        buffers: [
          ...gradientBuffers(inputs, attributes, blocks),
          { name: 'dk', output: 0, vector },
          { name: 'dv', output: 1, vector },
        ],
        parameters: { B, L, S },
        threads: 256,
        builtins: gridBuiltins,
        workgroup: { ...tileMemory(D), ...segmentMemoryOf(attributes) },
        write: (names) => {
          const { size } = names;
          const query = (load: string) => (x: string, c: string) =>
            `${load}(min(row_first + ${x}, ${size.L} - 1u) * G + g, ${c})`;
          const functions = gradientText(names, context, own, blocks);
          const main = `  ${gridPlace(`(${size.S} + ${forwardQueries - 1}u) / ${forwardQueries}u`, K, size.B!)}
  batch = w.z;
  kv_head = w.y;
  let key_first = w.x * ${forwardQueries}u;
  ${rowRange(names, attributes, 'key_first', forwardQueries)}
  ${tilePlaces(names, D)}
  ${tileSums('k', D)}
  ${tileSums('v', D)}
  for (var g = 0u; g < G; g++) {
    for (var row_first = row_begin; row_first < row_end; row_first += ${forwardKeys}u) {
      ${blocks ? skipOfKeys : ''}
      ${tileProduct(names, 's', loadKey, query('load_query4'), D)}
      ${tileProduct(names, 'd', loadValue, query('load_gradient4'), D)}
      ${[0, 1, 2, 3]
        .map(
          (i) => `let row_${i} = row_first + tx * 4u + ${i}u;
      let id_${i} = min(row_${i}, ${size.L} - 1u) * G + g; let query_${i} = query_of(id_${i}); let softmax_${i} = softmax_at(place_of(id_${i})); let delta_${i} = delta_at(place_of(id_${i}));
      ${dropout ? `let four_${i} = dropout4(query_${i}, (key_first + ty * 2u) / 4u); let kept_${i} = select(four_${i}.xy, four_${i}.zw, ty % 2u == 1u);` : ''}
      ${[0, 1]
        .map(
          (
            r,
          ) => `let p${r}${i} = select(0.0, probability(s${r}${i}, query_${i}, key_first + ty * 2u + ${r}u, softmax_${i}), row_${i} < ${size.L});
      d${r}${i} = (d${r}${i}${kept(r, i)} - delta_${i})${slope(`s${r}${i}`, `query_${i}`, `key_first + ty * 2u + ${r}u`)};`,
        )
        .join('\n')}`,
        )
        .join('\n')}
      ${tileStore(names, (r, i) => `p${r}${i}${kept(r, i)}`)}
      ${tileSum(names, 'v', query('load_gradient4'), D)}
      ${tileStore(names, (r, i) => `share(p${r}${i}, d${r}${i})`)}
      ${tileSum(names, 'k', query('load_query4'), D)}
    }
  }
  ${(['k', 'v'] as const).map((name) => tileResults(name, D, (row, c, value) => `if (key_first + ${row} < ${size.S}) { ${storeHead4(names, `d${name}`, `(batch * ${size.S} + key_first + ${row}) * K + kv_head`, c, name === 'k' ? `(${value} * ${f32(scale)})` : value, D)} }`)).join('\n')}`;
          return { functions, main };
        },
        workgroups: (size) => gridOf(Math.ceil(size(S) / forwardQueries), K, size(B)),
      },
    ];
  },
});

/** The factor of a score's slope, where it has one. */
const slopeIn =
  (attributes: DenseAttributes, functions: FunctionsInKernel | undefined) =>
  (product: string, query: string, key: string): string =>
    hasSlope(attributes, functions) ? ` * adjust_and_slope(${product}, ${query}, ${key}).y` : '';

export function gradientBuffers(
  inputs: readonly TensorType[],
  attributes: DenseAttributes,
  blocks: BlocksInKernel | undefined,
): KernelBuffer[] {
  const vector = headVector(sizesOf(inputs).D);
  const behind = inputs.length - 2;
  return [
    { name: 'q', input: 0, vector },
    { name: 'k', input: 1, vector },
    { name: 'v', input: 2, vector },
    // a sink takes its share of the log-sum-exp, and is not read again
    ...extraBuffers(inputs.slice(0, behind), attributes).filter(({ name }) => name !== 'sinks'),
    ...(blocks ? [blocks.buffer] : []),
    { name: 'gradient', input: behind, vector },
    { name: 'statistics', input: behind + 1 },
  ];
}

const queryHead = ({ size }: KernelNames) => `(batch * ${size.L} + query / G) * H + kv_head * G + query % G`;

/** What the kernels of gradients have in front of `main`. */
export function gradientText(
  names: KernelNames,
  { inputs, attributes }: KernelContext<DenseAttributes>,
  functions: FunctionsInKernel | undefined,
  blocks: BlocksInKernel | undefined,
): string {
  const { H, K, D } = sizesOf(inputs);
  const { size } = names;
  const keyHead = `(batch * ${size.S} + min(key, ${size.S} - 1u)) * K + kv_head`;
  return `
const G = ${H / K}u;
const H = ${H}u;
const K = ${K}u;
var<private> batch: u32;
var<private> kv_head: u32;
${tileText}
${denseScores(names, inputs, attributes, functions)}
${blocks?.text(names) ?? ''}
${probabilityText}
${statisticsText(names)}
fn load_query4(query: u32, c: u32) -> vec4<f32> { return ${loadHead4(names, 'q', queryHead(names), 'c', D)}; }
fn load_gradient4(query: u32, c: u32) -> vec4<f32> { return ${loadHead4(names, 'gradient', queryHead(names), 'c', D)}; }
fn load_key4(key: u32, c: u32) -> vec4<f32> { return ${loadHead4(names, 'k', keyHead, 'c', D)}; }
fn load_value4(key: u32, c: u32) -> vec4<f32> { return ${loadHead4(names, 'v', keyHead, 'c', D)}; }
/** The place of a query's statistics. */
fn place_of(query: u32) -> u32 { return (batch * H + kv_head * G + query % G) * ${size.L} + query / G; }`;
}
