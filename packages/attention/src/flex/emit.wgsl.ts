import {
  type Dim,
  dimsEqual,
  ExpressionWriter,
  type KernelBuffer,
  type KernelNames,
  NoExpressionError,
  Place,
  type Prelude,
  type Tensor,
  type TensorType,
} from '@heddle/tensor';
import { type DenseAttributes, type DenseSizes, sizesOf } from '../dense/arguments.ts';
import type { ScorePlace, TracedFunctions } from './trace.ts';

/** Score functions with their WGSL. */
export interface FunctionsInKernel {
  readonly traced: TracedFunctions;
  text(names: KernelNames): string;
}

/** How a kernel says where a score stands. */
export interface PlaceInKernel {
  /** Parameters of functions of a score's place. */
  readonly parameters: string;
  /** Coordinates of a score among all of them, in the order of their axes. */
  readonly coordinates: readonly string[];
  /** The value of `b`, `h`, `q` or `k`, of which `at` gives the coordinate along an axis. */
  readonly value: (names: KernelNames, name: keyof ScorePlace, at: (axis: number) => string) => string;
  /** A size of the attention; undefined of one that the kernel does not know. */
  readonly dim: (names: KernelNames, size: Dim) => string | undefined;
}

/** The place of a score of dense attention: of `query` and `key`, in `batch`. */
export const densePlace = ({ B, H, L, S }: DenseSizes): PlaceInKernel => {
  const coordinates = ['batch', 'query.head', 'query.row', 'key'];
  return {
    parameters: 'query: Query, key: u32',
    coordinates,
    value({ size }, name, at) {
      const axis = ['b', 'h', 'q', 'k'].indexOf(name);
      const own = at(axis);
      if (name !== 'q') return `i32(${own})`;
      if (own === coordinates[axis]) return 'query.position';
      return `(i32(${own}) + i32(${size.S}) - i32(${size.L}))`;
    },
    dim({ size: names }, size) {
      for (const [name, own] of Object.entries({ B, L, S })) if (dimsEqual(size, own)) return names[name]!;
      return dimsEqual(size, H) ? 'H' : undefined;
    },
  };
};

/** Score functions of dense attention with their WGSL; undefined where they have none. */
export function functionsInKernel(
  traced: TracedFunctions,
  inputs: Parameters<typeof sizesOf>[0],
): FunctionsInKernel | undefined {
  const text = functionsText(traced, densePlace(sizesOf(inputs)));
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
 * The WGSL of traced score functions by the lowerings of their operations: `score_mod(score, ...) -> f32`, `score_and_slope`
 * (`vec2<f32>`, where they have slopes) and `mask_mod(...) -> bool`, with the parameters of the place behind the score. Captured
 * tensors are buffers `captured0`, .... Undefined where an operation is no function of single values, or a size is not among
 * those of the attention.
 */
export function functionsText(
  traced: TracedFunctions,
  place: PlaceInKernel,
): ((names: KernelNames) => string) | undefined {
  const text = (names: KernelNames) => {
    const parts: string[] = [];
    const parameters = `(score: f32, ${place.parameters})`;
    if (traced.score) {
      const { statements, value } = write(names, traced, place, traced.score);
      parts.push(`fn score_mod${parameters} -> f32 {\n${statements}\n  return ${value};\n}`);
    }
    if (traced.score && traced.slopes) {
      const { statements, values } = writeAll(names, traced, place, [traced.score, traced.slopes.byScore]);
      parts.push(
        `fn score_and_slope${parameters} -> vec2<f32> {\n${statements}\n  return vec2<f32>(${values.join(', ')});\n}`,
      );
    }
    if (traced.mask) {
      const { statements, value } = write(names, traced, place, traced.mask);
      parts.push(`fn mask_mod(${place.parameters}) -> bool {\n${statements}\n  return ${value} != 0u;\n}`);
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
    if (error instanceof NoExpressionError) return false;
    throw error;
  }
}

const anyName = new Proxy<Record<string, string>>({}, { get: (_, name) => String(name) });
/** Names for texts that no kernel gets. */
export const anyNames: KernelNames = {
  ...{ at: anyName, at2: anyName, at4: anyName, set: anyName, set2: anyName, set4: anyName },
  ...{ array: anyName, size: anyName, shared: anyName, own: anyName, prelude: anyName as Prelude },
};

/** What is read in another way than its text says. */
interface OtherReads {
  /** Stand-ins `[B, H, L, S]` for tensors that are read at each place of a score. */
  readonly standIns?: ReadonlyMap<Tensor, Tensor>;
  /** A captured tensor that gives not its value but the place (u32) at which it is read. */
  readonly placeOf?: Tensor;
}

/** A traced value at the place of a score. @throws NoExpressionError */
export function write(
  names: KernelNames,
  traced: TracedFunctions,
  place: PlaceInKernel,
  root: Tensor,
  others?: OtherReads,
): { readonly statements: string; readonly value: string } {
  const { statements, values } = writeAll(names, traced, place, [root], others);
  return { statements, value: values[0]! };
}

/** Traced values at the place of a score; what they have in common is computed once. @throws NoExpressionError */
function writeAll(
  names: KernelNames,
  { standIns, captured }: TracedFunctions,
  score: PlaceInKernel,
  roots: readonly Tensor[],
  others: OtherReads = {},
): { readonly statements: string; readonly values: readonly string[] } {
  const { at: reads, prelude } = names;
  const writer: ExpressionWriter = new ExpressionWriter({
    dim(size) {
      if (typeof size === 'number') return `${size}u`;
      const own = score.dim(names, size);
      if (own === undefined) throw new NoExpressionError(`the size ${size}`);
      return own;
    },
    prelude,
    read(tensor, place) {
      const name = standIns.get(tensor);
      if (name === 'score') {
        assertHere(place, score);
        return 'score';
      }
      if (name) return score.value(names, name, (axis) => place.coordinate(axis));
      const read = others.standIns?.get(tensor);
      if (read) {
        assertHere(place, score);
        return writer.value(read, here(read));
      }
      if (tensor === others.placeOf) return place.linear();
      const index = captured.indexOf(tensor);
      return index < 0 ? undefined : `${reads[`captured${index}`]}(${place.linear()})`;
    },
  });
  /** The place in a tensor that broadcasts to the scores. */
  const here = ({ shape }: Tensor) =>
    Place.at(
      shape,
      shape.map((size, axis) => (size === 1 ? '0u' : score.coordinates.at(axis - shape.length)!)),
      writer,
    );
  const values = roots.map((root) => writer.value(root, here(root)));
  return { statements: writer.statements.map((line) => `  ${line}`).join('\n'), values };
}

/** A score is at hand for its own place alone. @throws NoExpressionError */
function assertHere(place: Place, { coordinates }: PlaceInKernel): void {
  if (place.coordinates().some((at, axis) => at !== coordinates[axis] && at !== '0u'))
    throw new NoExpressionError('a score of another place');
}
