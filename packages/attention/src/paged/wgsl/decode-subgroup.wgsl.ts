import type { KernelBuffer, KernelCall, WebGpuCapabilities } from '@heddle/tensor';
import { gridBuiltins, gridOf } from '../../tiles/grid.wgsl.ts';
import { scoreText } from '../../tiles/score.wgsl.ts';
import { named } from '../attributes.ts';
import { valueBuffers } from './buffers.wgsl.ts';
import { keyLoop } from './lane-keys.wgsl.ts';
import { laneLayout } from './lane-layout.ts';
import { beginLanes, joinLanes } from './lane-sums.wgsl.ts';
import { pageText, slotText } from './page-table.wgsl.ts';
import { type PackedContext, placeSizes } from './score-functions.wgsl.ts';
import { leavesGaps, packedScoreText } from './scores.wgsl.ts';
import { type DecodeShape, type DecodeSizes, decodeBuffers, decodePlaces, partsOf } from './split-kv.wgsl.ts';

/**
 * Lanes that share a key, each with two fours of it; undefined where subgroups are too small for that, or values of another
 * width.
 */
export function lanesOf(
  { D, V }: Pick<DecodeSizes, 'D' | 'V'>,
  { subgroups, subgroupMinSize }: WebGpuCapabilities,
): number | undefined {
  const lanes = 2 ** Math.ceil(Math.log2(Math.max(1, D / 8)));
  return subgroups && D === V && D % 8 === 0 && lanes <= subgroupMinSize ? lanes : undefined;
}

/**
 * Decoding where subgroups can shuffle: neighbouring lanes read a key in one go and add up their parts of its score, each group
 * of lanes keeps a softmax of its own over every so many keys, and the groups are joined at the end. The heads of a group of
 * queries share each read.
 */
export function decodeLanes(
  { inputs, attributes, capabilities, functions: scoring }: PackedContext,
  { T, H, K, G, D, splits, keys, single }: DecodeSizes,
  parts: KernelBuffer | undefined,
  lanes: number,
  shape: DecodeShape,
): KernelCall {
  const cache = attributes.cache!;
  const from = valueBuffers(inputs, attributes);
  const wide = shape.wide && capabilities.shaderF16;
  const buffers = decodeBuffers(inputs, attributes, wide);
  const eights = new Set(buffers.flatMap(({ name, vector }) => (vector === 8 ? [name] : [])));
  const layout = laneLayout({ D, G }, lanes, shape, wide);
  const { width, groups, threads } = layout;
  const rounds = Math.ceil(G / shape.heads);
  const gaps = leavesGaps(attributes);
  return {
    label: 'packedAttention.lanes',
    buffers: [...buffers, parts ?? { name: 'out', output: 0, vector: 4 }],
    parameters: {
      ...{ T, N: named(inputs, attributes).table!.shape[1]!, block_size: cache.blockSize, longest: keys },
      ...placeSizes({ inputs, attributes, functions: scoring }),
    },
    requires: ['subgroups'],
    threads,
    builtins: gridBuiltins,
    workgroup: {
      tops: { type: 'f32', length: groups * width },
      totals: { type: 'f32', length: groups * width },
      sums: { type: 'vec4<f32>', length: (groups * width * D) / 4 },
    },
    write: (names) => {
      const { at } = names;
      const functions = `const G = ${G}u;
const H = ${H}u;
const K = ${K}u;
var<private> kv_head: u32;
var<private> sequence: i32;
${slotText(names, cache.blockSize)}
${pageText(names, inputs, attributes)}
${packedScoreText(names, { ...attributes, inputs: attributes.inputs.filter((name) => name !== 'sinks') }, scoring)}${scoring ? `\n${scoreText}` : ''}`;
      const cached = {
        from: 'max(first, begin)',
        to: 'cached_end',
        place: (u: number) => `let last${u} = min(key${u}, cached_end - 1u);
    let seen${u} = (key${u} < cached_end)${gaps ? ` & is_near(position, cached_position(last${u}))` : ''};
    let at${u} = slot_of(last${u}) * K + kv_head;`,
        score: (u: number, head: string) => `cached_place(row, ${head}, segment, position, last${u})`,
        buffers: { keys: 'keys', values: from.pool },
        mixed: gaps,
      };
      const own = {
        from: 'max(first, before)',
        to: 'end',
        place: (u: number) => `let own${u} = ${single ? 'row' : `min(key${u}, end - 1u) - before`};
    let position${u} = ${at.positions}(own${u});
    var seen${u} = (key${u} < end) & (${at.segments}(own${u}) == segment) & (position${u} <= position) & is_near(position, position${u});
    let at${u} = own${u} * K + kv_head;`,
        score: (u: number, head: string) => `own_place(row, ${head}, segment, position, own${u})`,
        buffers: { keys: 'k', values: from.own },
        mixed: true,
      };
      const main = `  ${decodePlaces(names, splits, K, rounds, shape.heads, single)}
  let lane = local % ${lanes}u;
  let group = local / ${lanes}u;
  ${beginLanes(names, attributes, layout, scoring !== undefined)}
  // no branch stands between the reads, so that all of a lane's keys are under way at once
  let cached_end = min(end, before);
  var begin = 0u;
  if (segment >= 0) { begin = first_cached(position, segment); }
  ${keyLoop(names, attributes, layout, eights, cached, scoring)}
  ${keyLoop(names, attributes, layout, eights, own, scoring)}
  ${joinLanes(names, layout, parts !== undefined, scoring !== undefined)}`;
      return { functions, main };
    },
    workgroups: (size) => gridOf(size(T), K * rounds, partsOf(size(keys), splits)),
  };
}
