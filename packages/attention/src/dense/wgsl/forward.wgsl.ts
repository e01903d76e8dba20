import type { KernelBuffer, KernelCall, KernelContext, WebGpuLowering } from '@heddle/tensor';
import { blocksInKernel, neededInputs, skipOfQueries } from '../../flex/block-mask.wgsl.ts';
import { extraBuffers, type FunctionsInKernel, functionsInKernel } from '../../flex/emit.wgsl.ts';
import type { TracedFunctions } from '../../flex/trace.ts';
import { denseForwardByMatrix } from '../../tensor-core/choice.ts';
import { forwardKeys, forwardQueries, tileText } from '../../tiles/flash-tile.wgsl.ts';
import { forwardMemory, forwardTile } from '../../tiles/forward-tile.wgsl.ts';
import { gridBuiltins, gridOf, gridPlace } from '../../tiles/grid.wgsl.ts';
import { headVector, loadHead4, storeHead4 } from '../../tiles/head-access.wgsl.ts';
import { lowest } from '../../tiles/score.wgsl.ts';
import { type DenseAttributes, sizesOf } from '../arguments.ts';
import { denseScores, keyRange } from './scores.wgsl.ts';
import { segmentMemoryOf } from './segments.wgsl.ts';

/** Dense attention with log-sum-exp; by subgroup matrices where they fit. */
export function attentionWebGpu(functions?: TracedFunctions): WebGpuLowering<DenseAttributes> {
  return {
    supports({ inputs, attributes }, { shaderF16, maxStorageBuffers }) {
      const oddHalves = inputs[0]!.dtype === 'f16' && !shaderF16 && sizesOf(inputs).D % 4 !== 0;
      return (
        !oddHalves &&
        neededInputs(inputs, attributes) + 2 <= maxStorageBuffers &&
        (!functions || functionsInKernel(functions, inputs) !== undefined)
      );
    },
    kernels(context) {
      const own = functions && functionsInKernel(functions, context.inputs);
      return [denseForwardByMatrix(context, own) ?? attentionTiles(context, own)];
    },
  };
}

/** A workgroup takes the queries of a tile of one key-value head's group. */
function attentionTiles(context: KernelContext<DenseAttributes>, own: FunctionsInKernel | undefined): KernelCall {
  const { inputs, attributes } = context;
  const blocks = blocksInKernel(context, 2);
  const { B, L, S, H, K, D } = sizesOf(inputs);
  const G = H / K;
  const vector = headVector(D);
  const buffers: KernelBuffer[] = [
    { name: 'q', input: 0, vector },
    { name: 'k', input: 1, vector },
    { name: 'v', input: 2, vector },
    ...extraBuffers(inputs, attributes),
    ...(blocks ? [blocks.buffer] : []),
    { name: 'out', output: 0, vector },
    { name: 'statistics', output: 1 },
  ];
  const head = 'kv_head * G + query % G';
  return {
    label: 'attention',
    buffers,
    parameters: { B, L, S },
    threads: 256,
    builtins: gridBuiltins,
    workgroup: { ...forwardMemory(D), ...segmentMemoryOf(attributes) },
    write: (names) => {
      const { at, set, size } = names;
      const tile = forwardTile(names, D, attributes.dropout !== undefined);
      const functions = `const G = ${G}u;
const H = ${H}u;
const K = ${K}u;
var<private> batch: u32;
var<private> kv_head: u32;
${tileText}
${denseScores(names, inputs, attributes, own)}
${blocks?.text(names) ?? ''}
fn load_query4(query: u32, c: u32) -> vec4<f32> { return ${loadHead4(names, 'q', `(batch * ${size.L} + query / G) * H + ${head}`, 'c', D)}; }
fn load_key4(key: u32, c: u32) -> vec4<f32> { return ${loadHead4(names, 'k', `(batch * ${size.S} + min(key, ${size.S} - 1u)) * K + kv_head`, 'c', D)}; }
fn load_value4(key: u32, c: u32) -> vec4<f32> { return ${loadHead4(names, 'v', `(batch * ${size.S} + min(key, ${size.S} - 1u)) * K + kv_head`, 'c', D)}; }
fn first_maximum(query: u32) -> f32 { return ${attributes.extras.includes('sinks') ? `${at.sinks}(${head})` : lowest}; }
fn first_sum(query: u32) -> f32 { return ${attributes.extras.includes('sinks') ? '1.0' : '0.0'}; }
fn store4(query: u32, c: u32, value: vec4<f32>) { ${storeHead4(names, 'out', `(batch * ${size.L} + query / G) * H + ${head}`, 'c', 'value', D)} }
fn store_softmax(query: u32, top: f32, log_sum: f32) {
  let place = (batch * H + ${head}) * ${size.L} + query / G;
  ${set.statistics}(place, top);
  ${set.statistics}(${size.B} * H * ${size.L} + place, log_sum);
}`;
      const main = `  ${gridPlace(`(${size.L} * G + ${forwardQueries - 1}u) / ${forwardQueries}u`, K, size.B!)}
  batch = w.z;
  kv_head = w.y;
  let query_count = ${size.L} * G;
  // the queries with most keys come first
  let query_first = (tiles - 1u - w.x) * ${forwardQueries}u;
  ${keyRange(names, attributes, `min(query_first + ${forwardQueries - 1}u, query_count - 1u) / G`, 'query_first / G')}
  ${tile.begin}
  for (var key_first = key_begin; key_first < key_end; key_first += ${forwardKeys}u) {
    ${blocks ? skipOfQueries : ''}
    ${tile.tile}
  }
  ${tile.finish}`;
      return { functions, main };
    },
    workgroups: (size) => gridOf(Math.ceil((size(L) * G) / forwardQueries), K, size(B)),
  };
}
