import { type Dim, multiplyDims } from '../../dim.ts';
import type { DType } from '../../dtype.ts';
import { spreadWorkgroups } from '../../executors/webgpu/workgroups.ts';
import type {
  KernelBuffer,
  KernelCall,
  KernelNames,
  WebGpuLowering,
  WorkgroupArray,
} from '../../graph/webgpu-lowering.ts';
import { sizeOf, type TensorType } from '../../shape.ts';
import type { TopKAttributes } from './sort.ts';

/** Values that a workgroup sorts in its memory, two to an invocation. */
const block = 512;

/** Values as u32 in the same order: not-a-number behind all others, -0 beside 0. */
function keyOf(value: string, dtype: DType, largest: boolean, { own }: KernelNames): string {
  const key = { f32: `${own.float_key}(${value})`, i32: `(bitcast<u32>(${value}) ^ 0x80000000u)`, u32: value }[
    dtype as 'f32' | 'i32' | 'u32'
  ];
  return largest ? `~${key}` : key;
}
const floatKey = ({ own, prelude }: KernelNames) => `fn ${own.float_key}(value: f32) -> u32 {
  let own = bitcast<u32>(value);
  let bits = select(own, 0u, (own << 1u) == 0u); // drivers may take the sum of a value and 0 for the value
  return select(select(bits ^ 0x80000000u, ~bits, bits >= 0x80000000u), 0xffffffffu, ${prelude.is_nan}(value));
}`;

const threads = 256;
const grouped = (main: string) => `  let group = (w.z * n.y + w.y) * n.x + w.x;
${main}`;

/** Exchanges what is out of order in workgroup memory at distances from `from` down to 1, in runs of `size`. */
const exchange = (run: string, from: string, { size, shared: { keys, places } }: KernelNames) => `
    for (var reach = ${from}; reach > 0u; reach /= 2u) {
      let a = 2u * l - (l & (reach - 1u));
      let b = a + reach;
      let ascending = (((group * ${block}u + a) % ${size.padded}) & ${run}) == 0u;
      let after = ${keys}[a] > ${keys}[b] || (${keys}[a] == ${keys}[b] && ${places}[a] > ${places}[b]);
      if (after == ascending) {
        let key = ${keys}[a];
        let place = ${places}[a];
        ${keys}[a] = ${keys}[b];
        ${places}[a] = ${places}[b];
        ${keys}[b] = key;
        ${places}[b] = place;
      }
      workgroupBarrier();
    }`;
const blockMemory: Readonly<Record<string, WorkgroupArray>> = {
  keys: { type: 'u32', length: block },
  places: { type: 'u32', length: block },
};
const store = ({ set, size, shared: { keys, places } }: KernelNames) => `
  for (var t = l; t < ${block}u; t += 256u) {
    let i = group * ${block}u + t;
    if (i < ${size.total}) {
      ${set.k}(i, ${keys}[t]);
      ${set.p}(i, ${places}[t]);
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

/** The position of a value of row `row`, as sorting and taking see rows; the sizes have `inner` and `length`. */
const positionOf = (row: string, place: string, { size }: KernelNames) =>
  `(${row} / ${size.inner} * ${size.length} + ${place}) * ${size.inner} + ${row} % ${size.inner}`;

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
      threads,
      workgroup: blockMemory,
      write: (names) => {
        const { at, size, shared } = names;
        return {
          ...(dtype === 'f32' && { functions: floatKey(names) }),
          main: grouped(`
for (var t = l; t < ${block}u; t += 256u) {
  let i = group * ${block}u + t;
  let row = i / ${size.padded};
  let place = i % ${size.padded};
  var key = 0xffffffffu;
  if (row < ${size.rows} && place < ${size.length}) {
    let value = ${at.x}(${positionOf('row', 'place', names)});
    key = ${keyOf('value', dtype, largest, names)};
  }
  ${shared.keys}[t] = key;
  ${shared.places}[t] = place;
}
workgroupBarrier();
for (var size = 2u; size <= min(${block}u, ${size.padded}); size *= 2u) {${exchange('size', 'size / 2u', names)}
}${store(names)}`),
        };
      },
      workgroups: blocks,
    },
  ];
  for (let size = 2 * block; size <= padded; size *= 2) {
    for (let reach = size / 2; reach >= block; reach /= 2)
      calls.push({
        label: 'sort.exchange',
        buffers: [keys('write'), places('write')],
        parameters: { padded, total, size, reach },
        threads,
        write: ({ at, set, size }) => ({
          main: grouped(`let pair = group * 256u + l;
let a = 2u * pair - (pair & (${size.reach} - 1u));
let b = a + ${size.reach};
if (b < ${size.total}) {
  let ascending = ((a % ${size.padded}) & ${size.size}) == 0u;
  let first = vec2<u32>(${at.k}(a), ${at.p}(a));
  let second = vec2<u32>(${at.k}(b), ${at.p}(b));
  let after = first.x > second.x || (first.x == second.x && first.y > second.y);
  if (after == ascending) {
    ${set.k}(a, second.x);
    ${set.p}(a, second.y);
    ${set.k}(b, first.x);
    ${set.p}(b, first.y);
  }
}`),
        }),
        workgroups: blocks,
      });
    calls.push({
      label: 'sort.merge',
      buffers: [keys('write'), places('write')],
      parameters: { padded, total, size },
      threads,
      workgroup: blockMemory,
      write: (names) => {
        const { at, size, shared } = names;
        return {
          main: grouped(`for (var t = l; t < ${block}u; t += 256u) {
  let i = min(group * ${block}u + t, ${size.total} - 1u);
  ${shared.keys}[t] = ${at.k}(i);
  ${shared.places}[t] = ${at.p}(i);
}
workgroupBarrier();${exchange(size.size!, `${block / 2}u`, names)}${store(names)}`),
        };
      },
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
      threads,
      write: (names) => {
        const { at, set, size } = names;
        return {
          main: grouped(`  let i = group * 256u + l;
  if (i < ${size.taken}) {
    let row = i / ${size.inner} / ${size.count} * ${size.inner} + i % ${size.inner};
    let place = min(${at.p}(row * ${size.padded} + i / ${size.inner} % ${size.count}), ${size.length} - 1u);
    ${set.y}(i, ${at.x}(${positionOf('row', 'place', names)}));
    ${set.indices}(i, i32(place));
  }`),
        };
      },
      workgroups: (size) => spreadWorkgroups(Math.ceil(size(taken) / 256)),
    };
    return [...calls, take];
  },
};
