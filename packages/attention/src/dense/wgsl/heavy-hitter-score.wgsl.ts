import type { WebGpuLowering } from '@heddle/tensor';
import { blocksInKernel, neededInputs, skipOfKeys } from '../../flex/block-mask.wgsl.ts';
import { extraBuffers, functionsInKernel } from '../../flex/emit.wgsl.ts';
import type { TracedFunctions } from '../../flex/trace.ts';
import {
  forwardKeys,
  forwardQueries,
  loadKey,
  tileMemory,
  tilePitch,
  tilePlaces,
  tileProduct,
  tileStore,
  tileText,
} from '../../tiles/flash-tile.wgsl.ts';
import { gridBuiltins, gridOf, gridPlace } from '../../tiles/grid.wgsl.ts';
import { headVector, loadHead4 } from '../../tiles/head-access.wgsl.ts';
import { type DenseAttributes, sizesOf } from '../arguments.ts';
import { denseScores, probabilityText, rowRange, statisticsText } from './scores.wgsl.ts';
import { segmentMemoryOf } from './segments.wgsl.ts';

/** A workgroup takes a tile of keys, over tiles of the queries of each head of the group, without atomics. */
export function keyMassWebGpu(functions?: TracedFunctions): WebGpuLowering<DenseAttributes> {
  return {
    supports({ inputs, attributes }, { maxStorageBuffers }) {
      // v is not read
      const fits = neededInputs(inputs, attributes) <= maxStorageBuffers;
      return fits && (!functions || functionsInKernel(functions, inputs) !== undefined);
    },
    kernels(context) {
      const { inputs, attributes } = context;
      const blocks = blocksInKernel(context, 0);
      const { B, L, S, H, K, D } = sizesOf(inputs);
      const vector = headVector(D);
      const own = functions && functionsInKernel(functions, inputs);
      const each = (text: (i: number) => string) => [0, 1, 2, 3].map(text).join('\n      ');
      return [
        {
          label: 'attentionKeyMass',
          buffers: [
            { name: 'q', input: 0, vector },
            { name: 'k', input: 1, vector },
            ...extraBuffers(inputs.slice(0, -1), attributes).filter(
              ({ name }) => name !== 'sinks' && name !== 'dropoutKeys',
            ),
            ...(blocks ? [blocks.buffer] : []),
            { name: 'statistics', input: inputs.length - 1 },
            { name: 'mass', output: 0 },
          ],
          parameters: { B, L, S },
          threads: 256,
          builtins: gridBuiltins,
          workgroup: { ...tileMemory(D), ...segmentMemoryOf(attributes) },
          write: (names) => {
            const { set, shared, size } = names;
            const query = (load: string) => (x: string, c: string) =>
              `${load}(min(row_first + ${x}, ${size.L} - 1u) * G + g, ${c})`;
            const functions = `const G = ${H / K}u;
const H = ${H}u;
const K = ${K}u;
var<private> batch: u32;
var<private> kv_head: u32;
${tileText}
${denseScores(names, inputs, { ...attributes, dropout: 0 }, own)}
${blocks?.text(names) ?? ''}
${probabilityText}
${statisticsText(names)}
fn load_query4(query: u32, c: u32) -> vec4<f32> { return ${loadHead4(names, 'q', `(batch * ${size.L} + query / G) * H + kv_head * G + query % G`, 'c', D)}; }
fn load_key4(key: u32, c: u32) -> vec4<f32> { return ${loadHead4(names, 'k', `(batch * ${size.S} + min(key, ${size.S} - 1u)) * K + kv_head`, 'c', D)}; }`;
            const main = `  ${gridPlace(`(${size.S} + ${forwardQueries - 1}u) / ${forwardQueries}u`, K, size.B!)}
  batch = w.z;
  kv_head = w.y;
  let key_first = w.x * ${forwardQueries}u;
  ${rowRange(names, attributes, 'key_first', forwardQueries)}
  ${tilePlaces(names, D)}
  var mass = vec2<f32>();
  for (var g = 0u; g < G; g++) {
    for (var row_first = row_begin; row_first < row_end; row_first += ${forwardKeys}u) {
      ${blocks ? skipOfKeys : ''}
      ${tileProduct(names, 's', loadKey, query('load_query4'), D)}
      ${each(
        (i) => `let row_${i} = row_first + tx * 4u + ${i}u;
      let id_${i} = min(row_${i}, ${size.L} - 1u) * G + g; let query_${i} = query_of(id_${i}); let softmax_${i} = softmax_at((batch * H + kv_head * G + g) * ${size.L} + id_${i} / G);
      ${[0, 1].map((r) => `mass[${r}] += select(0.0, probability(s${r}${i}, query_${i}, key_first + ty * 2u + ${r}u, softmax_${i}), row_${i} < ${size.L});`).join('\n      ')}`,
      )}
    }
  }
  ${tileStore(names, (r, i) => (i === 0 ? `mass[${r}]` : '0.0'))}
  workgroupBarrier();
  if (local < ${forwardQueries}u && key_first + local < ${size.S}) {
    var sum = 0.0;
    for (var i = 0u; i < ${forwardKeys / 4}u; i++) { sum += ${shared.row_tile}[local * ${tilePitch}u + i].x; }
    ${set.mass}((batch * ${size.S} + key_first + local) * K + kv_head, sum);
  }`;
            return { functions, main };
          },
          workgroups: (size) => gridOf(Math.ceil(size(S) / forwardQueries), K, size(B)),
        },
      ];
    },
  };
}
