import {
  type Dim,
  dimsEqual,
  type KernelBuffer,
  type KernelNames,
  type PointwiseContext,
  type Shape,
  type Tensor,
  type TensorType,
} from '@heddle/tensor';
import { type DenseAttributes, type DenseSizes, sizesOf } from '../dense/arguments.ts';
import type { PlaceName, TracedFunctions } from './trace.ts';

/** Score functions with their WGSL. */
export interface FunctionsInKernel {
  readonly traced: TracedFunctions;
  text(names: KernelNames): string;
}

/** Score functions with their WGSL; undefined where they have none. */
export function functionsInKernel(
  traced: TracedFunctions,
  inputs: Parameters<typeof sizesOf>[0],
): FunctionsInKernel | undefined {
  const text = functionsText(traced, sizesOf(inputs));
  return text === undefined ? undefined : { traced, text };
}

/** The inputs behind q, k and v as buffers: the spec's tensors, then those that score functions captured; without blocks. */
export function extraBuffers(inputs: readonly TensorType[], { extras }: DenseAttributes): KernelBuffer[] {
  return inputs
    .slice(3)
    .map((_, i) => ({ name: extras[i] ?? `captured${i - extras.length}`, input: 3 + i }))
    .filter(({ name }) => name !== 'blocks');
}

/**
 * The WGSL of traced score functions, `score_mod(score, query, key) -> f32`, `score_and_slope` (`vec2<f32>`, where they have slopes) and
 * `mask_mod(query, key) -> bool`, by the lowerings of their operations; captured tensors are buffers `captured0`, ....
 * Undefined where an operation is no function of single values, or a size is not among those of the attention.
 */
export function functionsText(
  traced: TracedFunctions,
  sizes: DenseSizes,
): ((names: KernelNames) => string) | undefined {
  const text = (names: KernelNames) => {
    const parts: string[] = [];
    const parameters = '(score: f32, query: Query, key: u32)';
    if (traced.score) {
      const { statements, value } = write(names, traced, sizes, traced.score);
      parts.push(`fn score_mod${parameters} -> f32 {\n${statements}\n  return ${value};\n}`);
    }
    if (traced.score && traced.slopes) {
      const { statements, values } = writeAll(names, traced, sizes, [traced.score, traced.slopes.byScore]);
      parts.push(
        `fn score_and_slope${parameters} -> vec2<f32> {\n${statements}\n  return vec2<f32>(${values.join(', ')});\n}`,
      );
    }
    if (traced.mask) {
      const { statements, value } = write(names, traced, sizes, traced.mask);
      parts.push(`fn mask_mod(query: Query, key: u32) -> bool {\n${statements}\n  return ${value} != 0u;\n}`);
    }
    return parts.join('\n');
  };
  return isWritable(text) ? text : undefined;
}

/** Whether a text can be written. */
export function isWritable(text: (names: KernelNames) => unknown): boolean {
  try {
    text(anyNames);
    return true;
  } catch (error) {
    if (error instanceof NoText) return false;
    throw error;
  }
}

const anyName: Readonly<Record<string, string>> = new Proxy({}, { get: (_, name) => String(name) });
const anyNames: KernelNames = {
  ...{ at: anyName, at2: anyName, at4: anyName, set: anyName, set2: anyName, set4: anyName },
  ...{ array: anyName, size: anyName, shared: anyName, own: anyName },
};

/** What a text is refused with. */
export class NoText extends Error {}

/** What is read in another way than its text says. */
interface OtherReads {
  /** Stand-ins `[B, H, L, S]` for tensors that are read at each place of a score. */
  readonly standIns?: ReadonlyMap<Tensor, Tensor>;
  /** A captured tensor that gives not its value but the place (u32) at which it is read. */
  readonly placeOf?: Tensor;
}

/** A traced value at the place of a score. @throws NoText */
export function write(
  names: KernelNames,
  traced: TracedFunctions,
  sizes: DenseSizes,
  root: Tensor,
  others?: OtherReads,
): { readonly statements: string; readonly value: string } {
  const { statements, values } = writeAll(names, traced, sizes, [root], others);
  return { statements, value: values[0]! };
}

/** Traced values at the place of a score; what they have in common is computed once. @throws NoText */
function writeAll(
  { at: reads, size: sizeNames }: KernelNames,
  { standIns, captured }: TracedFunctions,
  { B, H, L, S }: DenseSizes,
  roots: readonly Tensor[],
  others: OtherReads = {},
): { readonly statements: string; readonly values: readonly string[] } {
  const statements: string[] = [];
  const known = new Map<string, string>();
  const bind = (expression: string): string => {
    if (/^\w+$/.test(expression)) return expression;
    let name = known.get(expression);
    if (name === undefined) {
      name = `t${known.size}`;
      known.set(expression, name);
      statements.push(`  let ${name} = ${expression};`);
    }
    return name;
  };
  const dim = (size: Dim): string => {
    if (typeof size === 'number') return `${size}u`;
    for (const [name, own] of Object.entries({ B, L, S })) if (dimsEqual(size, own)) return sizeNames[name]!;
    if (dimsEqual(size, H)) return 'H';
    throw new NoText();
  };
  const linear = (shape: Shape, coordinates: readonly string[]) =>
    shape.reduce<string>((place, size, axis) => {
      if (size === 1) return place;
      return place === '0u' ? coordinates[axis]! : `(${place} * ${dim(size)} + ${coordinates[axis]})`;
    }, '0u');
  /** Coordinates of a broadcast operand. */
  const aligned = (shape: Shape, coordinates: readonly string[]) =>
    shape.map((size, i) => (size === 1 ? '0u' : coordinates[coordinates.length - shape.length + i]!));

  const full = ['batch', 'query.head', 'query.row', 'key'];
  // a score is at hand for this place alone
  const assertHere = (coordinates: readonly string[]) => {
    if (coordinates.some((at, axis) => at !== full[axis] && at !== '0u')) throw new NoText();
  };
  const standInAt = (name: PlaceName, coordinates: readonly string[]): string => {
    if (name === 'score') {
      assertHere(coordinates);
      return 'score';
    }
    const axis = ['b', 'h', 'q', 'k'].indexOf(name);
    const own = coordinates[axis]!;
    if (name !== 'q') return bind(`i32(${own})`);
    return own === full[axis] ? 'query.position' : bind(`(i32(${own}) + i32(${sizeNames.S}) - i32(${sizeNames.L}))`);
  };
  const valueAt = (tensor: Tensor, coordinates: readonly string[]): string => {
    const name = standIns.get(tensor);
    if (name) return standInAt(name, coordinates);
    const read = others.standIns?.get(tensor);
    if (read) {
      assertHere(coordinates);
      return valueAt(read, aligned(read.shape, full));
    }
    if (tensor === others.placeOf) return linear(tensor.shape, coordinates);
    const place = captured.indexOf(tensor);
    if (place >= 0) return bind(`${reads[`captured${place}`]}(${linear(tensor.shape, coordinates)})`);
    const { op, inputs, attributes } = tensor.node;
    const lowering = op.lower?.webgpu;
    if (!lowering) {
      const parts = op.decompose?.(inputs, attributes);
      if (!parts) throw new NoText();
      return valueAt(parts[tensor.outputIndex]!, coordinates);
    }
    if ('expression' in lowering) {
      const values = inputs.map((input) => valueAt(input, aligned(input.shape, coordinates)));
      return bind(lowering.expression(values, attributes, tensor.node));
    }
    if (!('at' in lowering)) throw new NoText();
    const context: PointwiseContext<unknown> = {
      attributes,
      inputs,
      output: tensor,
      read: (index, at) => valueAt(inputs[index]!, at),
      dim,
      let: bind,
    };
    return bind(lowering.at(context, coordinates));
  };
  const values = roots.map((root) => bind(valueAt(root, aligned(root.shape, full))));
  return { statements: statements.join('\n'), values };
}
