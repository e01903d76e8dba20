import type { Dim } from '../../../dim.ts';
import type { Tensor } from '../../../graph/tensor.ts';
import type { KernelBody, WebGpuCapabilities } from '../../../graph/webgpu-lowering.ts';
import { type Shape, sizeOf } from '../../../shape.ts';
import type { BufferValue, Step } from '../values.ts';
import { spreadWorkgroups } from '../workgroups.ts';
import { registerType } from './buffer-form.ts';
import { elementFunction } from './element-function.ts';
import { type BufferOf, KernelBuilder, standardBuiltins } from './kernel-builder.ts';
import { isPacked } from './kernel-source.ts';
import { GivenNames } from './names.ts';
import { coordinateOf, innermostAxis, innermostIsFours, Place, type PlaceText } from './place.ts';

/** Values of one shape (up to reshaping) that one kernel computes value by value. */
export interface PointwiseSpec {
  readonly label: string;
  readonly roots: readonly { readonly tensor: Tensor; readonly target: BufferValue }[];
  readonly bufferOf: BufferOf;
  readonly capabilities: WebGpuCapabilities;
  bound(dim: Dim): number;
}

export interface PointwiseKernel {
  readonly step: Step;
  /** Values of which a place is read that is not the place at which an invocation writes. */
  readonly readElsewhere: ReadonlySet<BufferValue>;
}

/**
 * How many neighbouring values an invocation computes, and how it finds their coordinates: 'flat' computes four and no
 * coordinates at all; 'inner' four of one row, whose length is a multiple of four; 'single' one value, or a pair that
 * shares a word.
 */
type Walk = 'flat' | 'inner' | 'single';

/** A kernel that computes the roots from whatever has buffers; each value once, in the order in which it lies. */
export function pointwiseKernel(spec: PointwiseSpec): PointwiseKernel {
  const flat = attempt(spec, 'flat');
  if (!flat.usesCoordinates) return flat;
  return attempt(spec, innermostIsFours(spec.roots[0]!.tensor.shape) ? 'inner' : 'single');
}

function attempt(spec: PointwiseSpec, walk: Walk): PointwiseKernel & { readonly usesCoordinates: boolean } {
  const { builder, body, usesCoordinates, threads, lanes } = written(spec, walk, new GivenNames());
  const total = sizeOf(spec.roots[0]!.tensor.shape);
  const step = builder.build({
    label: spec.label,
    entry: { threads, builtins: standardBuiltins },
    body,
    workgroups: (value) => spreadWorkgroups(Math.ceil(value(total) / (lanes * threads))),
    rewrite: (names) => written(spec, walk, names).body,
  });
  return { step, usesCoordinates, readElsewhere: builder.readElsewhere };
}

/** The text of a kernel, with what was found out while it was written. */
function written(spec: PointwiseSpec, walk: Walk, names: GivenNames) {
  const { roots, capabilities } = spec;
  const builder = new KernelBuilder(spec, names);
  const targets = roots.map(({ target }) => builder.writes(target));
  const shape = roots[0]!.tensor.shape;
  const count = builder.sizes.add('count', sizeOf(shape));
  const packed = roots.some(({ target }) => isPacked(target.type.dtype, capabilities));
  const lanes = walk === 'single' ? (packed ? 2 : 1) : 4;
  let usesCoordinates = false;
  const element = elementFunction({
    name: 'element',
    builder,
    bufferOf: spec.bufferOf,
    roots: roots.map(({ tensor }) => tensor),
    parameters: ['base: u32', 'lane: u32'],
    prologue: [walk === 'single' ? `let i = min(base + lane, ${count} - 1u);` : 'let i = base + lane;'],
    place: (writer) =>
      new Place('i', shape, writer, {
        linear: () => 'i',
        coordinate: (axis) => {
          usesCoordinates = true;
          return walk === 'inner'
            ? laneCoordinate(axis, shape, writer)
            : writer.let(coordinateOf('i', axis, shape, writer));
        },
      }),
    fours: lanes === 4,
  });
  if (lanes === 4) for (const { target } of roots) builder.vectorize(target);

  const size = workgroupSize(spec.bound(sizeOf(shape)) / lanes);
  const call = (lane: number) =>
    `${names.own['element']}(${['base', `${lane}u`, ...element.arguments.map((b) => `${b}_4[${lane}]`)].join(', ')})`;
  const each = Array.from({ length: lanes }, (_, lane) => lane);
  const stored = (root: number) => {
    const type = registerType[roots[root]!.target.type.dtype];
    const values = each.map((lane) => element.result(`e${lane}`, root)).join(', ');
    if (lanes === 1) return `${names.set[targets[root]!]}(base, ${values});`;
    return `${names[lanes === 2 ? 'set2' : 'set4'][targets[root]!]}(k, vec${lanes}<${type}>(${values}));`;
  };
  const main = [
    `let k = ((w.z * n.y + w.y) * n.x + w.x) * ${size}u + l;`,
    `let base = k * ${lanes}u;`,
    `if (base >= ${count}) { return; }`,
    ...element.arguments.map((b) => `let ${b}_4 = ${names.at4[b]}(k);`),
    ...each.map((lane) => `let e${lane} = ${call(lane)};`),
    ...roots.map((_, root) => stored(root)),
  ];
  const body: KernelBody = { functions: element.text, main: main.map((line) => `  ${line}`).join('\n') };
  return { builder, body, usesCoordinates, threads: size, lanes };
}

/** Coordinates of `base + lane` where the four lanes lie in one row: all but the innermost are the same for all of them. */
function laneCoordinate(axis: number, shape: Shape, text: PlaceText): string {
  const common = text.let(coordinateOf('base', axis, shape, text));
  return axis === innermostAxis(shape) ? text.let(`${common} + lane`) : common;
}

/** Small grids are spread over more workgroups. */
function workgroupSize(invocations: number): number {
  return invocations >= 1 << 15 ? 256 : 64;
}
