import type { Dim } from '../../../dim.ts';
import type { Tensor } from '../../../graph/tensor.ts';
import type { WebGpuCapabilities } from '../../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../../shape.ts';
import type { BufferValue, Step } from '../values.ts';
import { spreadWorkgroups } from '../workgroups.ts';
import { elementFunction } from './element-function.ts';
import { type BufferOf, KernelBuilder } from './kernel-builder.ts';
import { isPacked } from './kernel-source.ts';
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
export function scatterStep({ value, rows, target, bufferOf, capabilities, bound }: ScatterSpec): Step {
  const builder = new KernelBuilder({ capabilities, bound });
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
  const values = Array.from(
    { length: lanes },
    (_, lane) => `element(${['base', `${lane}u`, ...element.arguments.map((b) => `${b}_4[${lane}]`)].join(', ')})`,
  );
  const store = () => {
    if (merges) return mergeHalf(out, values[0]!);
    if (lanes === 1) return `${out}_set(to, ${values[0]});`;
    const type = dtype === 'i32' ? 'i32' : dtype === 'f32' || dtype === 'f16' ? 'f32' : 'u32';
    return `${out}_set${lanes}(to / ${lanes}u, vec${lanes}<${type}>(${values.join(', ')}));`;
  };
  const body = `${element.text}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let k = ((w.z * n.y + w.y) * n.x + w.x) * 64u + l;
  let base = k * ${lanes}u;
  if (base >= ${count}) { return; }
  let t = base / ${width};
  let row = ${places}_at(t);
  if (row < 0 || u32(row) >= ${height}) { return; }
  let to = u32(row) * ${width} + base % ${width};
${element.arguments.map((b) => `  let ${b}_4 = ${b}_at4(k);\n`).join('')}  ${store()}
}`;
  const total: Dim = sizeOf(value.shape);
  const workgroups: Step['workgroups'] = (size) => spreadWorkgroups(Math.ceil(size(total) / (lanes * 64)));
  const step = builder.build('scatter', body, workgroups, { ignoresExtraWorkgroups: !merges });
  return merges ? { ...step, source: step.source.replace(`${out}: array<u32>`, `${out}: array<atomic<u32>>`) } : step;
}

/** Sets one half of a word that another invocation may be setting the other half of. */
function mergeHalf(out: string, value: string): string {
  return `let half = pack_halves(vec2<f32>(${value}, 0.0)) & 0xffffu;
  let shift = 16u * (to & 1u);
  loop {
    let old = atomicLoad(&${out}[to / 2u]);
    let merged = (old & ~(0xffffu << shift)) | (half << shift);
    if (atomicCompareExchangeWeak(&${out}[to / 2u], old, merged).exchanged) { break; }
  }`;
}
