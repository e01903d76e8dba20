import type { Dim } from '../../../dim.ts';
import type { DType } from '../../../dtype.ts';
import type { Tensor } from '../../../graph/tensor.ts';
import type { KernelBody, Prelude, WebGpuCapabilities } from '../../../graph/webgpu-lowering.ts';
import { type Shape, sizeOf } from '../../../shape.ts';
import type { BufferValue, Step } from '../values.ts';
import { spreadWorkgroups } from '../workgroups.ts';
import { registerType } from './buffer-form.ts';
import { elementFunction } from './element-function.ts';
import { type Epilogue, epilogueFunction } from './epilogue.ts';
import { type BufferOf, KernelBuilder, standardBuiltins } from './kernel-builder.ts';
import { isPacked } from './kernel-source.ts';
import { GivenNames } from './names.ts';
import { coordinateOf, innermostAxis, innermostIsFours, Place } from './place.ts';
import { chooseReductionTile, type ReductionTile } from './reduction-tile.ts';

type RegisterType = 'f32' | 'i32' | 'u32';

/** A reduction of `input`, which is computed on the way, over `axes` (ascending). */
export interface ReductionSpec {
  readonly label: string;
  readonly input: Tensor;
  readonly axes: readonly number[];
  readonly reduce: {
    readonly identity: string;
    combine(a: string, b: string, type: RegisterType, prelude: Prelude): string;
  };
  /** Where the result, or what the epilogue makes of it, is stored. */
  readonly target: BufferValue;
  readonly epilogue?: Epilogue | undefined;
  readonly bufferOf: BufferOf;
  readonly capabilities: WebGpuCapabilities;
  bound(dim: Dim): number;
  /** A buffer for partial results. */
  scratch(shape: Shape, dtype: DType): BufferValue;
}

/**
 * Kernels that combine `length` values into each of `rows` values of the result. Few long rows are cut into parts, which a
 * second kernel combines.
 */
export function reductionSteps(spec: ReductionSpec): Step[] {
  const { input, axes, bound, capabilities } = spec;
  const kept = input.shape.filter((_, axis) => !axes.includes(axis));
  const reduced = axes.map((axis) => input.shape[axis]!);
  // rows lie in one piece where nothing but single values is behind the first reduced axis
  const adjacent = input.shape.every((size, axis) => size === 1 || axis < axes[0]! || axes.includes(axis));
  const pairs = isPacked(spec.target.type.dtype, capabilities);
  const sizes = { rows: bound(sizeOf(kept)), maxInvocations: capabilities.maxInvocations };
  const fours = adjacent && innermostIsFours(reduced);
  const tile = chooseReductionTile({ ...sizes, length: bound(sizeOf(reduced)), adjacent, fours, pairs });
  const layout = { kept, reduced, adjacent };
  const ofInput = (names: GivenNames) => new InputRows(spec, layout, tile, names);
  if (tile.parts === 1) return [rowsStep(spec, ofInput, tile, spec.target, spec.epilogue)];
  const partial = spec.scratch([...kept, tile.parts], registerType[input.dtype]);
  const second = chooseReductionTile({ ...sizes, length: tile.parts, adjacent: true, fours: false, pairs });
  return [
    rowsStep(spec, ofInput, tile, partial),
    rowsStep(
      spec,
      (names) => new PartialRows(spec, partial, tile.parts, kept, names),
      second,
      spec.target,
      spec.epilogue,
    ),
  ];
}

/** Where the values of rows come from: `element(row, j, lane, ...)` in the text of `builder`. */
interface RowSource {
  readonly builder: KernelBuilder;
  readonly adjacent: boolean;
  readonly rows: string;
  readonly length: string;
  readonly rowCount: Dim;
  readonly text: string;
  /** Buffers that are loaded by fours and passed on. */
  readonly arguments: readonly string[];
}

/** Rows of the input of a reduction. */
class InputRows implements RowSource {
  readonly builder: KernelBuilder;
  readonly adjacent: boolean;
  readonly rows: string;
  readonly length: string;
  readonly rowCount: Dim;
  readonly text: string;
  readonly arguments: readonly string[];

  constructor(
    { input, axes, bufferOf, capabilities, bound }: ReductionSpec,
    { kept, reduced, adjacent }: { readonly kept: Shape; readonly reduced: Shape; readonly adjacent: boolean },
    { width }: ReductionTile,
    names: GivenNames,
  ) {
    this.builder = new KernelBuilder({ capabilities, bound }, names);
    this.adjacent = adjacent;
    this.rowCount = sizeOf(kept);
    this.rows = this.builder.sizes.add('rows', this.rowCount);
    this.length = this.builder.sizes.add('length', sizeOf(reduced));
    const keptAxes = input.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
    const inFront = axes.every((axis, i) => axis === i);
    const innermost = innermostAxis(reduced);
    const position = adjacent
      ? `let i = row * ${this.length} + j + lane;`
      : inFront
        ? `let i = j * ${this.rows} + row;`
        : undefined;
    const element = elementFunction({
      name: 'element',
      builder: this.builder,
      bufferOf,
      roots: [input],
      parameters: ['row: u32', 'j: u32', 'lane: u32'],
      prologue: position ? [position] : [],
      place: (writer) =>
        new Place('i', input.shape, writer, {
          ...(position ? { linear: () => 'i' } : {}),
          coordinate(axis) {
            const own = axes.indexOf(axis);
            if (own < 0) return writer.let(coordinateOf('row', keptAxes.indexOf(axis), kept, writer));
            const common = writer.let(coordinateOf('j', own, reduced, writer));
            return width === 4 && own === innermost ? writer.let(`${common} + lane`) : common;
          },
        }),
      fours: width === 4,
    });
    this.text = element.text;
    this.arguments = element.arguments;
  }
}

/** Rows of partial results. */
class PartialRows implements RowSource {
  readonly builder: KernelBuilder;
  readonly adjacent = true;
  readonly rows: string;
  readonly length: string;
  readonly rowCount: Dim;
  readonly text: string;
  readonly arguments: readonly string[] = [];

  constructor(
    { capabilities, bound }: ReductionSpec,
    partial: BufferValue,
    parts: number,
    kept: Shape,
    names: GivenNames,
  ) {
    this.builder = new KernelBuilder({ capabilities, bound }, names);
    const name = this.builder.reads(partial);
    this.rowCount = sizeOf(kept);
    this.rows = this.builder.sizes.add('rows', this.rowCount);
    this.length = `${parts}u`;
    const type = registerType[partial.type.dtype];
    this.text = `fn ${names.own['element']}(row: u32, j: u32, lane: u32) -> ${type} { return ${names.at[name]}(row * ${parts}u + j); }`;
  }
}

function rowsStep(
  spec: ReductionSpec,
  rowsOf: (names: GivenNames) => RowSource,
  tile: ReductionTile,
  target: BufferValue,
  epilogue?: Epilogue,
): Step {
  const source = rowsOf(new GivenNames());
  const { lanes, rows, parts } = tile;
  const { body, type, shared } = rowsBody(spec, source, tile, target, epilogue);
  return source.builder.build({
    label: spec.label,
    entry: { threads: lanes * rows, builtins: standardBuiltins },
    workgroup: shared ? { partial: { type, length: lanes * rows } } : {},
    body,
    workgroups: (size) => spreadWorkgroups(Math.ceil(size(source.rowCount) / rows) * parts),
    rewrite: (names) => rowsBody(spec, rowsOf(names), tile, target, epilogue).body,
  });
}

/** The text that combines the values of rows, and whether and as what it has them in the memory of the workgroup. */
function rowsBody(
  { input, reduce, bufferOf }: ReductionSpec,
  source: RowSource,
  tile: ReductionTile,
  target: BufferValue,
  epilogue: Epilogue | undefined,
): { readonly body: KernelBody; readonly type: RegisterType; readonly shared: boolean } {
  const { builder } = source;
  const { names } = builder;
  const { lanes, rows, width, parts } = tile;
  const type = registerType[input.dtype];
  const out = builder.writes(target);
  const pairs = isPacked(target.type.dtype, builder.capabilities);
  const shared = lanes > 1 || pairs;
  const partial = names.shared['partial'];
  // neighbouring invocations read neighbouring values
  const [own, slot, step] = source.adjacent
    ? [`l % ${lanes}u`, `l / ${lanes}u`, 1]
    : [`l / ${rows}u`, `l % ${rows}u`, rows];
  const value = (v: string, row: string) => (epilogue ? `${names.own['epilogue']}(${row}, ${v})` : v);
  const fold = Array.from({ length: Math.log2(lanes) }, (_, i) => lanes >> (i + 1)).map(
    (half) => `  workgroupBarrier();
  if (own < ${half}u) { ${partial}[l] = ${reduce.combine(`${partial}[l]`, `${partial}[l + ${half * step}u]`, type, names.prelude)}; }`,
  );
  const store = () => {
    const result = shared ? `${partial}[l]` : 'total';
    if (parts > 1)
      return `if (own == 0u && row < ${source.rows}) { ${names.set[out]}(row * ${parts}u + part, ${result}); }`;
    if (!pairs) return `if (own == 0u && row < ${source.rows}) { ${names.set[out]}(row, ${value(result, 'row')}); }`;
    const next = `${partial}[l + ${source.adjacent ? lanes : 1}u]`;
    return `workgroupBarrier();
  if (own == 0u && row < ${source.rows} && row % 2u == 0u) {
    ${names.set2[out]}(row / 2u, vec2<${type}>(${value(result, 'row')}, ${value(next, `min(row + 1u, ${source.rows} - 1u)`)}));
  }`;
  };
  const chunk = lanes * width;
  const range =
    parts > 1
      ? `let chunk = (${source.length} / ${parts * chunk}u + 1u) * ${chunk}u;
    let start = part * chunk;
    let end = min(${source.length}, start + chunk);`
      : `let start = 0u;
    let end = ${source.length};`;
  const combine = Array.from(
    { length: width },
    (_, lane) =>
      `      total = ${reduce.combine('total', `${names.own['element']}(${['row', 'j', `${lane}u`, ...source.arguments.map((b) => `${b}_4[${lane}]`)].join(', ')})`, type, names.prelude)};`,
  );
  const main = `  let group = (w.z * n.y + w.y) * n.x + w.x;
  let part = group % ${parts}u;
  let own = ${own};
  let row = group / ${parts}u * ${rows}u + ${slot};
  var total = ${identityOf(reduce.identity, type, names.prelude)};
  if (row < ${source.rows}) {
    ${range}
    for (var j = start + own * ${width}u; j < end; j += ${chunk}u) {
${source.arguments.map((b) => `      let ${b}_4 = ${names.at4[b]}((row * ${source.length} + j) / 4u);\n`).join('')}${combine.join('\n')}
    }
  }
${shared ? `  ${partial}[l] = total;` : ''}
${fold.join('\n')}
  ${store()}`;
  const functions = epilogue ? `${source.text}\n${epilogueFunction(epilogue, type, builder, bufferOf)}` : source.text;
  return { body: { functions, main }, type, shared };
}

/** The value that leaves others as they are, in WGSL. 'lowest' and 'highest' are the least and the largest value that a type has. */
function identityOf(identity: string, type: RegisterType, prelude: Prelude): string {
  const infinity = () => `${prelude.infinity_value}()`;
  if (identity === 'lowest') return type === 'f32' ? `-${infinity()}` : { i32: 'i32(-2147483648)', u32: '0u' }[type];
  if (identity === 'highest') return type === 'f32' ? infinity() : { i32: '2147483647i', u32: '4294967295u' }[type];
  return `${type}(${identity})`;
}
