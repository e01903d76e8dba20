import type { KernelCall, KernelContext, KernelNames, WebGpuLowering, WorkgroupArray } from '@heddle/tensor';
import { type DenseAttributes, sizesOf } from '../dense/arguments.ts';
import { gradientBuffers, gradientText, supportsGradient } from '../dense/wgsl/backward.wgsl.ts';
import { keyRange } from '../dense/wgsl/scores.wgsl.ts';
import { segmentMemoryOf } from '../dense/wgsl/segments.wgsl.ts';
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
} from '../tiles/flash-tile.wgsl.ts';
import { blocksInKernel, skipOfQueries } from './block-mask.wgsl.ts';
import type { ReadsOf, ScoreReads } from './captured-reads.wgsl.ts';
import { functionsInKernel } from './emit.wgsl.ts';
import type { TracedFunctions } from './trace.ts';

/** Values of all workgroups' tables together, at most. */
const tableValues = 2 ** 24;
const maxWorkgroups = 512;

/** How many values a tensor has; undefined where that is unknown, or so many that the scores of a head are no more. */
function tableSize(
  { inputs }: Pick<KernelContext<DenseAttributes>, 'inputs'>,
  { tensor }: ScoreReads,
): number | undefined {
  const { L, S } = sizesOf(inputs);
  if (!tensor.shape.every((size) => typeof size === 'number')) return undefined;
  const size = (tensor.shape as readonly number[]).reduce((a, b) => a * b, 1);
  const most = typeof L === 'number' && typeof S === 'number' ? L * S : tableValues / 64;
  return size < Math.min(most, tableValues / 4) ? size : undefined;
}

/**
 * Gradient with respect to a tensor that scores read, without scores in memory or atomics on floats: a workgroup takes tiles in turn and
 * adds up in a table of its own what comes of each value; the tables are then added in their order. An invocation adds to the
 * values that are its own, so all sums have one order.
 */
export function readGradientWebGpu(readsOf: ReadsOf, functions?: TracedFunctions): WebGpuLowering<DenseAttributes> {
  return {
    supports(node, capabilities) {
      if (!supportsGradient(1, functions)(node, capabilities)) return false;
      const reads = readsOf(node.inputs, node.attributes, functions);
      return reads !== undefined && tableSize(node, reads) !== undefined;
    },
    kernels(context) {
      const reads = readsOf(context.inputs, context.attributes, functions)!;
      return tableKernels(context, reads, tableSize(context, reads)!, functions);
    },
  };
}

/** Workgroup memory of `sumsByPlace`. */
const sumsMemory: Readonly<Record<string, WorkgroupArray>> = {
  entry_value: { type: 'f32', length: 256 },
  entry_place: { type: 'u32', length: 256 },
  planes: { type: 'atomic<u32>' },
  lowest: { type: 'atomic<u32>' },
  highest: { type: 'atomic<u32>' },
  // which of their values the invocations have, and the one place of all of them, where it is one
  found: { type: 'vec2<u32>' },
};

/** Sums by place in workgroup memory: each invocation has the places that are equal to it modulo 256. */
const sumsByPlace = ({ at, set, shared }: KernelNames): string => `
const none = 0xffffffffu;
var<private> table_begin: u32;
var<private> my_place: u32 = none;
var<private> my_sum: f32;
fn flush() {
  if (my_place != none) { ${set.table}(table_begin + my_place, ${at.table}(table_begin + my_place) + my_sum); }
  my_place = none;
}
fn add(place: u32, value: f32) {
  // neighbours mostly go to the same place
  if (place != my_place) { flush(); my_place = place; my_sum = 0.0; }
  my_sum += value;
}
/** Adds a value of each invocation to one place. */
fn add_all(local: u32, value: f32, place: u32) {
  ${shared.entry_value}[local] = value;
  for (var half = 128u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local < half) { ${shared.entry_value}[local] += ${shared.entry_value}[local + half]; }
  }
  workgroupBarrier();
  if (place % 256u == local) { add(place, ${shared.entry_value}[0]); }
  workgroupBarrier();
}
/** Adds a value of each invocation to its place, in their order. */
fn add_up(local: u32, value: f32, place: u32) {
  ${shared.entry_value}[local] = value;
  ${shared.entry_place}[local] = place;
  workgroupBarrier();
  for (var i = 0u; i < 256u; i++) {
    let place = ${shared.entry_place}[i];
    if (place % 256u == local && place != none) { add(place, ${shared.entry_value}[i]); }
  }
  workgroupBarrier();
}`;

/** The eight values of an invocation, of which those of one place are added up first. */
function addUp({ shared, size }: KernelNames, read: number): string {
  const entries = Array.from({ length: 8 }, (_, i) => [Math.floor(i / 4), i % 4] as const);
  const each = (text: (r: number, c: number) => string) => entries.map(([r, c]) => text(r, c)).join(', ');
  const key = (c: number) => `min(key_first + tx * 4u + ${c}u, ${size.S} - 1u)`;
  return `{
      var places = array<u32, 8>(${each((r, c) => `select(none, place_${read}(query_${r}, ${key(c)}), p${r}${c} != 0.0)`)});
      var values = array<f32, 8>(${each((r, c) => `share(w${r}${c}, factor_${read}(unmodified(s${r}${c}, query_${r}, ${key(c)}), query_${r}, ${key(c)}))`)});
      for (var j = 1u; j < 8u; j++) {
        for (var i = 0u; i < j; i++) {
          let same = places[i] == places[j];
          values[i] += select(0.0, values[j], same);
          places[j] = select(places[j], none, same);
        }
      }
      var mine = 0u;
      for (var i = 0u; i < 8u; i++) { mine |= select(0u, 1u << i, places[i] != none); }
      if (local == 0u) {
        atomicStore(&${shared.planes}, 0u);
        atomicStore(&${shared.lowest}, none);
        atomicStore(&${shared.highest}, 0u);
      }
      workgroupBarrier();
      if (mine != 0u) {
        atomicOr(&${shared.planes}, mine);
        for (var i = 0u; i < 8u; i++) {
          if (places[i] != none) { atomicMin(&${shared.lowest}, places[i]); atomicMax(&${shared.highest}, places[i]); }
        }
      }
      workgroupBarrier();
      if (local == 0u) { ${shared.found} = vec2<u32>(atomicLoad(&${shared.planes}), select(none, atomicLoad(&${shared.lowest}), atomicLoad(&${shared.lowest}) == atomicLoad(&${shared.highest}))); }
      let used = workgroupUniformLoad(&${shared.found});
      if (used.y != none) {
        // an invocation has all of it in the first of its values that it has
        var value = 0.0;
        for (var i = 0u; i < 8u; i++) { value += select(0.0, values[i], places[i] != none); }
        add_all(local, value, used.y);
      } else {
        for (var i = 0u; i < 8u; i++) { if ((used.x & (1u << i)) != 0u) { add_up(local, values[i], places[i]); } }
      }
    }`;
}

function tableKernels(
  context: KernelContext<DenseAttributes>,
  reads: ScoreReads,
  values: number,
  traced: TracedFunctions | undefined,
): KernelCall[] {
  const { inputs, attributes, bound } = context;
  const { B, L, S, H, K, D } = sizesOf(inputs);
  const { dropout } = attributes;
  // tables begin at whole fours
  const pitch = 4 * Math.ceil(values / 4);
  const tiles = Math.ceil((bound(L) * (H / K)) / forwardQueries) * K * bound(B);
  const workgroups = Math.max(1, Math.min(maxWorkgroups, tiles, Math.floor(tableValues / pitch)));
  const table = { scratch: 'table', type: { shape: [workgroups, pitch], dtype: 'f32' as const } };
  const each = (text: (r: number, c: number) => string) =>
    [0, 1].flatMap((r) => [0, 1, 2, 3].map((c) => text(r, c))).join('\n    ');
  const blocks = blocksInKernel(context, 1);
  const label = 'attentionReadGradient';
  return [
    {
      label,
      buffers: [...gradientBuffers(inputs, attributes, blocks), { name: 'table', ...table, access: 'write' }],
      parameters: { B, L, S, pitch, workgroups },
      threads: 256,
      builtins: { group: 'workgroup_id', local: 'local_invocation_index' },
      workgroup: { ...tileMemory(D), ...segmentMemoryOf(attributes), ...sumsMemory },
      write: (names) => {
        const { set, size } = names;
        const functions = `${gradientText(names, context, traced && functionsInKernel(traced, inputs), blocks)}
${reads.text(names)}
${sumsByPlace(names)}`;
        const main = `  table_begin = group.x * ${size.pitch};
  for (var i = local; i < ${size.pitch}; i += 256u) { ${set.table}(table_begin + i, 0.0); }
  let query_count = ${size.L} * G;
  let tiles = (query_count + ${forwardQueries - 1}u) / ${forwardQueries}u;
  ${tilePlaces(names, D)}
  for (var unit = group.x; unit < tiles * K * ${size.B}; unit += ${size.workgroups}) {
    let w = vec3<u32>(unit % tiles, unit / tiles % K, unit / tiles / K);
    batch = w.z;
    kv_head = w.y;
    let query_first = w.x * ${forwardQueries}u;
    ${keyRange(names, attributes, `min(query_first + ${forwardQueries - 1}u, query_count - 1u) / G`, 'query_first / G')}
    ${[0, 1].map((r) => `let here_${r} = query_first + ty * 2u + ${r}u < query_count; let id_${r} = min(query_first + ty * 2u + ${r}u, query_count - 1u); let query_${r} = query_of(id_${r}); let softmax_${r} = softmax_at(place_of(id_${r})); let delta_${r} = delta_at(place_of(id_${r}));`).join('\n    ')}
    for (var key_first = key_begin; key_first < key_end; key_first += ${forwardKeys}u) {
    ${blocks ? skipOfQueries : ''}
    ${tileProduct(names, 's', loadQuery, loadKey, D)}
    ${tileProduct(names, 'd', loadGradient, loadValue, D)}
    ${dropout ? [0, 1].map((r) => `let kept_${r} = dropout4(query_${r}, key_first / 4u + tx);`).join(' ') : ''}
    ${each((r, c) => `let p${r}${c} = select(0.0, probability(s${r}${c}, query_${r}, key_first + tx * 4u + ${c}u, softmax_${r}), here_${r}); let w${r}${c} = share(p${r}${c}, d${r}${c}${dropout ? ` * kept_${r}[${c}]` : ''} - delta_${r});`)}
    ${Array.from({ length: reads.count }, (_, i) => addUp(names, i)).join('\n    ')}
    // sums of sums lose less than one long sum
    flush();
    }
  }`;
        return { functions, main };
      },
      workgroups: () => [workgroups, 1, 1],
    },
    {
      label: `${label}.sum`,
      buffers: [
        { name: 'table', ...table, access: 'read', vector: 4 },
        { name: 'out', output: 0, vector: 4 },
      ],
      parameters: { fours: pitch / 4, workgroups },
      threads: 64,
      builtins: { w: 'workgroup_id', l: 'local_invocation_index' },
      write: ({ at4, set4, size }) => ({
        main: `  let four = w.x * 64u + l;
  if (four >= ${size.fours}) { return; }
  var sum = vec4<f32>();
  for (var i = 0u; i < ${size.workgroups}; i++) { sum += ${at4.table}(i * ${size.fours} + four); }
  ${set4.out}(four, sum);`,
      }),
      workgroups: () => [Math.ceil(pitch / 4 / 64), 1, 1],
    },
  ];
}
