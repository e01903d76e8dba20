import { addDims, type KernelBuffer, type KernelCall, multiplyDims } from '@heddle/tensor';
import { gridBuiltins, gridOf } from '../../tiles/grid.wgsl.ts';
import { headVector, loadHead4, storeHead4 } from '../../tiles/head-access.wgsl.ts';
import { isSeenScore, lowest, scoreText, seenScore } from '../../tiles/score.wgsl.ts';
import { named, type PackedAttributes, packedSizes, placeOf } from '../attributes.ts';
import { valueBuffers } from './buffers.wgsl.ts';
import { decodeLanes, lanesOf } from './decode-subgroup.wgsl.ts';
import { headNames, pageText, slotText } from './page-table.wgsl.ts';
import { type PackedContext, placeSizes } from './score-functions.wgsl.ts';
import { packedScoreText, scoreIn } from './scores.wgsl.ts';
import {
  type DecodeShape,
  type DecodeSizes,
  decodeBuffers,
  decodePlaces,
  fewestKeys,
  partsOf,
} from './split-kv.wgsl.ts';

/** Invocations, and keys of a tile. */
const W = 128;
/**
 * Measured on an H100, 32 sequences of 8,192 keys, 4 heads to a group, in GB/s of keys and values (a copy: 3,012): 2,058; two
 * heads in place of four 2,058, with four of them 1,024 workgroups 2,001, 64 invocations 1,933, 8 keys under way 1,899, 2 of
 * them 1,648, fours in place of eights 1,862, 256 invocations 1,759, 4,096 workgroups 1,762.
 */
const defaultShape: DecodeShape = { threads: 128, heads: 2, ahead: 4, workgroups: 2048, wide: true };
/** Heads of a group that share one read of the keys. */
const maxHeads = 8;

/**
 * Few rows and long keys: a workgroup for each row, key-value head and part of the keys, in which the heads of a group share
 * each read; where the keys are in parts, a second kernel joins them.
 */
export function packedDecode(context: PackedContext, shape: DecodeShape = defaultShape): readonly KernelCall[] {
  const { inputs, attributes, bound } = context;
  const own = packedSizes(inputs, attributes);
  const { T, H, K, V } = own;
  const single = attributes.layout === 'single';
  // so many at the bounds of the plan, that parts begin at the same keys in every run
  const keys = single ? bound(attributes.cache!.maxLength) + 1 : addDims(attributes.cache!.maxLength, T);
  const splits = Math.ceil(Math.min(bound(keys) / fewestKeys, Math.max(1, shape.workgroups / (bound(T) * K))));
  const sizes = { ...own, splits, keys, single };
  const parts = { scratch: 'parts', type: { shape: [splits, T, H, partSize(V)], dtype: 'f32' } } as const;
  const lanes = lanesOf(own, context.capabilities);
  const rowsCall = (to?: KernelBuffer) =>
    lanes === undefined ? decodeTiles(context, sizes, to) : decodeLanes(context, sizes, to, lanes, shape);
  if (splits === 1 && !attributes.lse && !attributes.inputs.includes('sinks')) return [rowsCall()];
  return [
    rowsCall({ name: 'parts', ...parts, access: 'write', vector: 4 }),
    joinCall(attributes, sizes, { name: 'parts', ...parts, access: 'read', vector: 4 }),
  ];
}

/** Values of a head's part: the sum of its weighted values, maximum, sum of weights, and up to a four. */
const partSize = (V: number) => (Math.ceil(V / 4) + 1) * 4;

/** Decoding without subgroups: each invocation scores a key, then the values are summed column by column. */
function decodeTiles(
  { inputs, attributes, capabilities, functions: scoring }: PackedContext,
  { T, H, K, G, D, V, splits, keys, single }: DecodeSizes,
  parts: KernelBuffer | undefined,
): KernelCall {
  const cache = attributes.cache!;
  const [D4, V4] = [Math.ceil(D / 4), Math.ceil(V / 4)];
  const bytesOfHead = 16 * (D4 + W) + 4 * (W + 16);
  const room = Math.floor((capabilities.maxWorkgroupStorageBytes - 4 * W - 64) / bytesOfHead);
  const heads = Math.max(1, Math.min(G, maxHeads, room));
  const rounds = Math.ceil(G / heads);
  const from = valueBuffers(inputs, attributes);
  const columns = Math.min(W, 2 ** Math.ceil(Math.log2(V4)));
  const lanes = W / columns;
  const each = (text: (g: number) => string) => Array.from({ length: heads }, (_, g) => text(g)).join('\n');
  const vector = headVector(V);
  return {
    label: 'packedAttention.rows',
    buffers: [...decodeBuffers(inputs, attributes), parts ?? { name: 'out', output: 0, vector }],
    parameters: {
      ...{ T, N: named(inputs, attributes).table!.shape[1]!, block_size: cache.blockSize, longest: keys },
      ...placeSizes({ inputs, attributes, functions: scoring }),
    },
    threads: W,
    builtins: gridBuiltins,
    workgroup: {
      q_row: { type: 'vec4<f32>', length: heads * D4 },
      weights: { type: 'f32', length: heads * W },
      // whether a row sees the key: values of others are not read, whatever they are
      visible: { type: 'u32', length: W },
      partial: { type: 'f32', length: heads * 16 },
      sums: { type: 'vec4<f32>', length: heads * W },
    },
    write: (names) => {
      const { at, set4, shared, size } = names;
      const { score, seen: shown } = scoreIn(scoring);
      // functions may hide a key from some of the heads
      const weighted = (weight: string) =>
        `${weight} * ${scoring ? `select(vec4<f32>(), four, ${weight} != 0.0)` : 'four'}`;
      const load = (pool: string, own: string, width: number, pitch: number) => `
  if (key < cached) { return ${loadHead4(headNames(names, attributes, pool), pool, 'slot_of(key) * K + kv_head', 'c', width, pitch)}; }
  return ${loadHead4(names, own, `${single ? 'own_row' : '(key - cached)'} * K + kv_head`, 'c', width, pitch)};`;
      const functions = `const G = ${G}u;
const H = ${H}u;
const K = ${K}u;
var<private> kv_head: u32;
var<private> sequence: i32;
var<private> cached: u32;${single ? '\nvar<private> own_row: u32;' : ''}
${scoreText}
${slotText(names, cache.blockSize)}
${pageText(names, inputs, attributes)}
${packedScoreText(names, { ...attributes, inputs: attributes.inputs.filter((name) => name !== 'sinks') }, scoring)}${
  scoring
    ? `
${placeOfText(single)}`
    : ''
}
fn load_key4(key: u32, c: u32) -> vec4<f32> {${load('keys', 'k', D, D)}
}
fn load_value4(key: u32, c: u32) -> vec4<f32> {${load(from.pool, from.own, V, from.pitch)}
}
/** The larger of all that the lanes of a head hold. */
fn joint_maximum(g: u32) -> f32 {
  var value = ${shared.partial}[g * 16u];
  for (var i = 1u; i < 16u; i++) { value = max(value, ${shared.partial}[g * 16u + i]); }
  return value;
}
fn joint_sum(g: u32) -> f32 {
  var value = 0.0;
  for (var i = 0u; i < 16u; i++) { value += ${shared.partial}[g * 16u + i]; }
  return value;
}`;
      const main = `  ${decodePlaces(names, splits, K, rounds, heads, single)}
  cached = before;${single ? '\n  own_row = row;' : ''}
  for (var i = local; i < ${heads * D4}u; i += ${W}u) {
    let head = min(head_first + i / ${D4}u, head_end - 1u);
    ${shared.q_row}[i] = ${loadHead4(names, 'q', 'row * H + head', `(i % ${D4}u)`, D)};
  }
  let column = local % ${columns}u;
  let lane = local / ${columns}u;
  ${each((g) => `var top_${g} = ${lowest}; var total_${g} = 0.0; var sum_${g} = vec4<f32>();`)}
  for (var tile_first = first; tile_first < end; tile_first += ${W}u) {
    let key = tile_first + local;
    var seen = key < end;
    if (seen && key < cached) { seen = is_near(position, cached_position(key)); }
    else if (seen) {
      let other = ${at.positions}(${single ? 'row' : 'key - cached'});
      seen = ${at.segments}(${single ? 'row' : 'key - cached'}) == segment && other <= position && is_near(position, other);
    }
    workgroupBarrier();
    ${shared.visible}[local] = u32(seen);
    ${each((g) => `var score_${g} = 0.0;`)}
    if (seen) {
      for (var c = 0u; c < ${D4}u; c++) {
        let four = load_key4(key, c);
        ${each((g) => `score_${g} += dot(${shared.q_row}[${g * D4}u + c], four);`)}
      }
    }
    ${each(
      (
        g,
      ) => `${scoring ? `let place_${g} = place_of(row, min(head_first + ${g}u, head_end - 1u), segment, position, key, end);\n    ` : ''}score_${g} = ${seenScore(score(`score_${g}`, `place_${g}`), shown('seen', `place_${g}`))};
    ${shared.weights}[${g * W}u + local] = score_${g};`,
    )}
    workgroupBarrier();
    for (var i = local; i < ${heads * 16}u; i += ${W}u) {
      let at = i / 16u * ${W}u + i % 16u * ${W / 16}u;
      var value = ${shared.weights}[at];
      for (var j = 1u; j < ${W / 16}u; j++) { value = max(value, ${shared.weights}[at + j]); }
      ${shared.partial}[i] = value;
    }
    workgroupBarrier();
    ${each(
      (g) => `let new_top_${g} = max(top_${g}, joint_maximum(${g}u));
    let scale_${g} = exp(top_${g} - new_top_${g});
    top_${g} = new_top_${g};
    ${shared.weights}[${g * W}u + local] = select(0.0, exp(score_${g} - new_top_${g}), ${isSeenScore(`score_${g}`)});`,
    )}
    workgroupBarrier();
    for (var i = local; i < ${heads * 16}u; i += ${W}u) {
      let at = i / 16u * ${W}u + i % 16u * ${W / 16}u;
      var value = 0.0;
      for (var j = 0u; j < ${W / 16}u; j++) { value += ${shared.weights}[at + j]; }
      ${shared.partial}[i] = value;
    }
    ${each((g) => `sum_${g} *= scale_${g};`)}
    if (column < ${V4}u) {
      for (var j = lane; j < min(${W}u, end - tile_first); j += ${lanes}u) {
        if (${shared.visible}[j] == 0u) { continue; }
        let four = load_value4(tile_first + j, column);
        ${each((g) => `sum_${g} += ${weighted(`${shared.weights}[${g * W}u + j]`)};`)}
      }
    }
    workgroupBarrier();
    ${each((g) => `total_${g} = total_${g} * scale_${g} + joint_sum(${g}u);`)}
  }
  ${each((g) => `${shared.sums}[${g * W}u + local] = sum_${g};`)}
  workgroupBarrier();
  ${each(
    (g) => `if (local < ${V4}u && head_first + ${g}u < head_end) {
    var value = vec4<f32>();
    for (var j = 0u; j < ${lanes}u; j++) { value += ${shared.sums}[${g * W}u + j * ${columns}u + local]; }
    ${
      parts
        ? `let at = ((w.z * ${size.T} + row) * H + head_first + ${g}u) * ${V4 + 1}u;
    ${set4.parts}(at + local, value);
    if (local == 0u) { ${set4.parts}(at + ${V4}u, vec4<f32>(top_${g}, total_${g}, 0.0, 0.0)); }`
        : `value = value * select(0.0, 1.0 / total_${g}, total_${g} > 0.0);
    ${storeHead4(names, 'out', `row * H + head_first + ${g}u`, 'local', 'value', V)}`
    }
  }`,
  )}`;
      return { functions, main };
    },
    workgroups: (size) => gridOf(size(T), K * rounds, partsOf(size(keys), splits)),
  };
}

/** WGSL of the place of a row's score: of a key that was cached, or of one of the step, which may be past the `end`. */
const placeOfText = (
  single: boolean,
): string => `fn place_of(row: u32, head: u32, segment: i32, position: i32, key: u32, end: u32) -> Place {
  if (key < cached) { return cached_place(row, head, segment, position, key); }
  return own_place(row, head, segment, position, ${single ? 'row' : 'max(min(key, end - 1u), cached) - cached'});
}`;

/** Joins the parts of each row's heads, and a sink's logit. */
function joinCall(
  attributes: PackedAttributes,
  { T, H, V, splits, keys }: DecodeSizes,
  parts: KernelBuffer,
): KernelCall {
  const V4 = Math.ceil(V / 4);
  const { lse } = attributes;
  const sinks = placeOf(attributes, 'sinks');
  return {
    label: 'packedAttention.join',
    buffers: [
      parts,
      ...(sinks < 0 ? [] : [{ name: 'sinks', input: sinks }]),
      { name: 'out', output: 0, vector: headVector(V) },
      ...(lse ? [{ name: 'lse', output: 1 }] : []),
    ],
    parameters: { T, longest: keys },
    ignoresExtraWorkgroups: true,
    threads: 64,
    builtins: { w: 'workgroup_id', n: 'num_workgroups', local: 'local_invocation_index' },
    write: (names) => {
      const { at, at4, set, size } = names;
      const main = `  let four = (w.y * n.x + w.x) * 64u + local;
  let head = four / ${V4}u;
  if (head < ${size.T} * ${H}u) {
    let share = max(${fewestKeys}u, (${size.longest} + ${splits - 1}u) / ${splits}u);
    let count = (${size.longest} + share - 1u) / share;
    var top = ${sinks < 0 ? lowest : `${at.sinks}(head % ${H}u)`};
    for (var s = 0u; s < count; s++) { top = max(top, ${at4.parts}((s * ${size.T} * ${H}u + head) * ${V4 + 1}u + ${V4}u).x); }
    var total = ${sinks < 0 ? '0.0' : `exp(${at.sinks}(head % ${H}u) - top)`};
    var value = vec4<f32>();
    for (var s = 0u; s < count; s++) {
      let at = (s * ${size.T} * ${H}u + head) * ${V4 + 1}u;
      let statistics = ${at4.parts}(at + ${V4}u);
      let weight = exp(statistics.x - top);
      total += weight * statistics.y;
      value += weight * ${at4.parts}(at + four % ${V4}u);
    }
    value = value * select(0.0, 1.0 / total, total > 0.0);
    ${storeHead4(names, 'out', 'head', `(four % ${V4}u)`, 'value', V)}
    ${lse ? `if (four % ${V4}u == 0u) { ${set.lse}(head, select(top + log(total), ${lowest}, total == 0.0)); }` : ''}
  }`;
      return { main };
    },
    workgroups: (size) => {
      const count = Math.ceil((size(multiplyDims(T, H)) * V4) / 64);
      return count <= 65_535 ? [count, 1, 1] : [65_535, Math.ceil(count / 65_535), 1];
    },
  };
}
