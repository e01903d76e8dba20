import { type Dim, multiplyDims } from '../../dim.ts';
import type { DType } from '../../dtype.ts';
import { spreadWorkgroups } from '../../executors/webgpu/workgroups.ts';
import type { KernelBuffer, KernelCall, WebGpuLowering } from '../../graph/webgpu-lowering.ts';
import { sizeOf, type TensorType } from '../../shape.ts';
import type { TopKAttributes } from './sort.ts';

/** Values that a workgroup sorts in its memory, two to an invocation. */
const block = 512;

/** Values as u32 in the same order: not-a-number behind all others, -0 beside 0. */
function keyOf(value: string, dtype: DType, largest: boolean): string {
  const key = { f32: `float_key(${value})`, i32: `(bitcast<u32>(${value}) ^ 0x80000000u)`, u32: value }[
    dtype as 'f32' | 'i32' | 'u32'
  ];
  return largest ? `~${key}` : key;
}
const floatKey = `
fn float_key(value: f32) -> u32 {
  let own = bitcast<u32>(value);
  let bits = select(own, 0u, (own << 1u) == 0u); // drivers may take the sum of a value and 0 for the value
  return select(select(bits ^ 0x80000000u, ~bits, bits >= 0x80000000u), 0xffffffffu, is_nan(value));
}`;

const entry = (body: string) => `
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let group = (w.z * n.y + w.y) * n.x + w.x;
${body}
}`;

/** Exchanges what is out of order in workgroup memory at distances from `from` down to 1, in runs of `size`. */
const exchange = (size: string, from: string) => `
    for (var reach = ${from}; reach > 0u; reach /= 2u) {
      let a = 2u * l - (l & (reach - 1u));
      let b = a + reach;
      let ascending = (((group * ${block}u + a) % params.padded) & ${size}) == 0u;
      let after = keys[a] > keys[b] || (keys[a] == keys[b] && places[a] > places[b]);
      if (after == ascending) {
        let key = keys[a];
        let place = places[a];
        keys[a] = keys[b];
        places[a] = places[b];
        keys[b] = key;
        places[b] = place;
      }
      workgroupBarrier();
    }`;
const shared = `
var<workgroup> keys: array<u32, ${block}>;
var<workgroup> places: array<u32, ${block}>;`;
const store = `
  for (var t = l; t < ${block}u; t += 256u) {
    let i = group * ${block}u + t;
    if (i < params.total) {
      k_set(i, keys[t]);
      p_set(i, places[t]);
    }
  }`;

/** What is sorted: input 0 of a node, along an axis. */
interface SortSpec {
  readonly type: TensorType;
  readonly axis: number;
  readonly largest: boolean;
  bound(dim: Dim): number;
}

/** The kernels that sort, and what they leave: rows of `padded` keys and places, those of the row's values in front. */
export interface SortCalls {
  readonly calls: readonly KernelCall[];
  /** u32, as `keyOf` makes them. */
  keys(access: 'read' | 'write'): KernelBuffer;
  /** u32: which value of its row each key is of. */
  places(access: 'read' | 'write'): KernelBuffer;
  readonly padded: number;
}

/** The position of a value of row `row`, as sorting and taking see rows; `params` has `inner` and `length`. */
const positionOf = (row: string, place: string) =>
  `(${row} / params.inner * params.length + ${place}) * params.inner + ${row} % params.inner`;

/**
 * A bitonic sorting network (Batcher, https://doi.org/10.1145/1468075.1468121) over rows that are padded to a power of two,
 * of keys and places: equal keys are in the order of their places, so it is stable. Distances up to a block are exchanged in
 * workgroup memory, larger ones by a kernel each.
 */
export function sortCalls({ type: { shape, dtype }, axis, largest, bound }: SortSpec): SortCalls {
  const inner = sizeOf(shape.slice(axis + 1));
  const rows = multiplyDims(sizeOf(shape.slice(0, axis)), inner);
  const padded = 2 ** Math.ceil(Math.log2(Math.max(2, bound(shape[axis]!))));
  const total = multiplyDims(rows, padded);
  const scratch: TensorType = { shape: [total], dtype: 'u32' };
  const buffer =
    (name: string) =>
    (access: 'read' | 'write'): KernelBuffer => ({ name, scratch: name, type: scratch, access });
  const [keys, places] = [buffer('k'), buffer('p')];
  const parameters = { rows, inner, length: shape[axis]!, padded, total };
  const blocks: KernelCall['workgroups'] = (size) => spreadWorkgroups(Math.ceil(size(total) / block));
  const calls: KernelCall[] = [
    {
      label: 'sort.blocks',
      buffers: [{ name: 'x', input: 0 }, keys('write'), places('write')],
      parameters,
      body: `${dtype === 'f32' ? floatKey : ''}${shared}${entry(`
for (var t = l; t < ${block}u; t += 256u) {
  let i = group * ${block}u + t;
  let row = i / params.padded;
  let place = i % params.padded;
  var key = 0xffffffffu;
  if (row < params.rows && place < params.length) {
    let value = x_at(${positionOf('row', 'place')});
    key = ${keyOf('value', dtype, largest)};
  }
  keys[t] = key;
  places[t] = place;
}
workgroupBarrier();
for (var size = 2u; size <= min(${block}u, params.padded); size *= 2u) {${exchange('size', 'size / 2u')}
}${store}`)}`,
      workgroups: blocks,
    },
  ];
  for (let size = 2 * block; size <= padded; size *= 2) {
    for (let reach = size / 2; reach >= block; reach /= 2)
      calls.push({
        label: 'sort.exchange',
        buffers: [keys('write'), places('write')],
        parameters: { padded, total, size, reach },
        body: entry(`
let pair = group * 256u + l;
let a = 2u * pair - (pair & (params.reach - 1u));
let b = a + params.reach;
if (b < params.total) {
  let ascending = ((a % params.padded) & params.size) == 0u;
  let first = vec2<u32>(k_at(a), p_at(a));
  let second = vec2<u32>(k_at(b), p_at(b));
  let after = first.x > second.x || (first.x == second.x && first.y > second.y);
  if (after == ascending) {
    k_set(a, second.x);
    p_set(a, second.y);
    k_set(b, first.x);
    p_set(b, first.y);
  }
}`),
        workgroups: blocks,
      });
    calls.push({
      label: 'sort.merge',
      buffers: [keys('write'), places('write')],
      parameters: { padded, total, size },
      body: `${shared}${entry(`
for (var t = l; t < ${block}u; t += 256u) {
  let i = min(group * ${block}u + t, params.total - 1u);
  keys[t] = k_at(i);
  places[t] = p_at(i);
}
workgroupBarrier();${exchange('params.size', `${block / 2}u`)}${store}`)}`,
      workgroups: blocks,
    });
  }
  return { calls, keys, places, padded };
}

/** The first of what is sorted. */
export const topKWebGpu: WebGpuLowering<TopKAttributes> = {
  supports: ({ inputs: [x] }) => x!.dtype !== 'f16' && x!.dtype !== 'bool',
  kernels({ inputs: [x], outputs: [values], attributes: { axis, count, largest }, bound }) {
    const { calls, places, padded } = sortCalls({ type: x!, axis, largest, bound });
    const inner = sizeOf(x!.shape.slice(axis + 1));
    const taken = sizeOf(values!.shape);
    const take: KernelCall = {
      label: 'topK.take',
      buffers: [{ name: 'x', input: 0 }, places('read'), { name: 'y', output: 0 }, { name: 'indices', output: 1 }],
      parameters: { inner, length: x!.shape[axis]!, padded, taken, count },
      body: entry(`
  let i = group * 256u + l;
  if (i < params.taken) {
    let row = i / params.inner / params.count * params.inner + i % params.inner;
    let place = min(p_at(row * params.padded + i / params.inner % params.count), params.length - 1u);
    y_set(i, x_at(${positionOf('row', 'place')}));
    indices_set(i, i32(place));
  }`),
      workgroups: (size) => spreadWorkgroups(Math.ceil(size(taken) / 256)),
    };
    return [...calls, take];
  },
};
