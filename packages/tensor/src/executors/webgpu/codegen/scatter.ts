import type { Dim } from '../../../dim.ts';
import type { Tensor } from '../../../graph/tensor.ts';
import type { KernelBody, KernelNames, WebGpuCapabilities } from '../../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../../shape.ts';
import type { BufferValue, Step } from '../values.ts';
import { spreadWorkgroups } from '../workgroups.ts';
import { elementFunction } from './element-function.ts';
import { type BufferOf, KernelBuilder, standardBuiltins } from './kernel-builder.ts';
import { isPacked } from './kernel-source.ts';
import { GivenNames } from './names.ts';
import { coordinateOf, Place } from './place.ts';

export interface ScatterSpec {
  /** `[T, ...]`, computed on the way. */
  readonly value: Tensor;
  /** i32 `[T]`: the row of the target that each row of the value overwrites. */
  readonly rows: Tensor;
  readonly target: BufferValue;
  readonly bufferOf: BufferOf;
  readonly capabilities: WebGpuCapabilities;
  bound(dim: Dim): number;
}

/** A kernel that overwrites rows of a variable; rows that it does not have are passed over. */
export function scatterStep(spec: ScatterSpec): Step {
  const { builder, body, lanes, merges } = written(spec, new GivenNames());
  const total: Dim = sizeOf(spec.value.shape);
  return builder.build({
    label: 'scatter',
    entry: { threads, builtins: standardBuiltins },
    body,
    workgroups: (size) => spreadWorkgroups(Math.ceil(size(total) / (lanes * threads))),
    rewrite: merges ? undefined : (names) => written(spec, names).body,
  });
}

/** Invocations of a workgroup. */
const threads = 64;

/** The text of the kernel, with what was found out while it was written. */
function written({ value, rows, target, bufferOf, capabilities, bound }: ScatterSpec, names: GivenNames) {
  const builder = new KernelBuilder({ capabilities, bound }, names);
  const { shape, dtype } = target.type;
  const out = builder.writes(target);
  const places = builder.reads(bufferOf(rows)!);
  const count = builder.sizes.add('count', sizeOf(value.shape));
  const width = builder.sizes.add('width', sizeOf(shape.slice(1)));
  const height = builder.sizes.add('height', shape[0]!);
  const inner = sizeOf(shape.slice(1));
  const even = (n: number) => typeof inner === 'number' && inner % n === 0;
  const packed = isPacked(dtype, capabilities);
  // neighbours of one row go together; single halves of a word are merged into it
  const lanes = even(4) ? 4 : packed && even(2) ? 2 : 1;
  const element = elementFunction({
    name: 'element',
    builder,
    bufferOf,
    roots: [value],
    parameters: ['base: u32', 'lane: u32'],
    prologue: ['let i = base + lane;'],
    place: (writer) =>
      new Place('i', value.shape, writer, {
        linear: () => 'i',
        coordinate: (axis) => writer.let(coordinateOf('i', axis, value.shape, writer)),
      }),
    fours: lanes === 4,
  });
  if (lanes === 4) builder.vectorize(target);
  const merges = packed && lanes === 1;
  if (merges) builder.changeAtomically(target);
  const values = Array.from(
    { length: lanes },
    (_, lane) =>
      `${names.own['element']}(${['base', `${lane}u`, ...element.arguments.map((b) => `${b}_4[${lane}]`)].join(', ')})`,
  );
  const store = () => {
    if (merges) return mergeHalf(names.array[out]!, values[0]!, names);
    if (lanes === 1) return `${names.set[out]}(to, ${values[0]});`;
    const type = dtype === 'i32' ? 'i32' : dtype === 'f32' || dtype === 'f16' ? 'f32' : 'u32';
    return `${names[lanes === 2 ? 'set2' : 'set4'][out]}(to / ${lanes}u, vec${lanes}<${type}>(${values.join(', ')}));`;
  };
  const main = `  let k = ((w.z * n.y + w.y) * n.x + w.x) * ${threads}u + l;
  let base = k * ${lanes}u;
  if (base >= ${count}) { return; }
  let t = base / ${width};
  let row = ${names.at[places]}(t);
  if (row < 0 || u32(row) >= ${height}) { return; }
  let to = u32(row) * ${width} + base % ${width};
${element.arguments.map((b) => `  let ${b}_4 = ${names.at4[b]}(k);\n`).join('')}  ${store()}`;
  const body: KernelBody = { functions: element.text, main };
  return { builder, body, lanes, merges };
}

/** Sets one half of a word that another invocation may be setting the other half of. */
function mergeHalf(out: string, value: string, { prelude }: KernelNames): string {
  return `let half = ${prelude.pack_halves}(vec2<f32>(${value}, 0.0)) & 0xffffu;
  let shift = 16u * (to & 1u);
  loop {
    let old = atomicLoad(&${out}[to / 2u]);
    let merged = (old & ~(0xffffu << shift)) | (half << shift);
    if (atomicCompareExchangeWeak(&${out}[to / 2u], old, merged).exchanged) { break; }
  }`;
}
