import {
  type Dim,
  dimsEqual,
  type KernelBuffer,
  type KernelContext,
  type KernelNames,
  NoExpressionError,
  type TensorType,
} from '@heddle/tensor';
import { type FunctionsInKernel, functionsText, type PlaceInKernel } from '../../flex/emit.wgsl.ts';
import type { TracedFunctions } from '../../flex/trace.ts';
import { type PackedAttributes, packedSizes } from '../attributes.ts';
import { packedColumns } from '../places.ts';

/** What a kernel of a packed attention is made of. */
export interface PackedContext extends KernelContext<PackedAttributes> {
  readonly functions?: FunctionsInKernel | undefined;
}

/** The place of a score: a `Place` of `placeText`. */
function packedPlace(inputs: readonly TensorType[], attributes: PackedAttributes): PlaceInKernel {
  const { T } = packedSizes(inputs, attributes);
  const { S, cached, B } = packedColumns(inputs, attributes);
  const coordinates = ['0u', 'place.head', 'place.row', 'place.column'];
  const isHere = (own: string, axis: number, size: Dim) => own === coordinates[axis] || size === 1;
  return {
    parameters: 'place: Place',
    coordinates,
    value({ at }, name, coordinate) {
      if (name === 'h') return `i32(${coordinate(1)})`;
      if (name === 'k') {
        if (isHere(coordinate(3), 3, S)) return 'place.key';
        throw new NoExpressionError('the key of another place');
      }
      const row = coordinate(2);
      if (isHere(row, 2, T)) return name === 'b' ? 'place.segment' : 'place.position';
      return `${name === 'b' ? at.segments : at.positions}(${row})`;
    },
    dim({ size }, dim) {
      if (dimsEqual(dim, T)) return size.T;
      if (!attributes.cache) return undefined;
      if (dimsEqual(dim, B)) return size.B;
      if (dimsEqual(dim, cached)) return size.cached;
      return dimsEqual(dim, S) ? `(${size.B} * ${size.cached} + ${size.T})` : undefined;
    },
  };
}

/** Score functions of a packed attention with their WGSL; undefined where they have none. */
export function packedFunctions(
  traced: TracedFunctions,
  inputs: readonly TensorType[],
  attributes: PackedAttributes,
): FunctionsInKernel | undefined {
  const text = functionsText(traced, packedPlace(inputs, attributes));
  return text === undefined ? undefined : { traced, text };
}

/** Sizes that `placeText` needs, as parameters of a kernel. */
export function placeSizes({
  inputs,
  attributes,
  functions,
}: Pick<PackedContext, 'inputs' | 'attributes' | 'functions'>): Readonly<Record<string, Dim>> {
  if (!functions || !attributes.cache) return {};
  const { B, cached } = packedColumns(inputs, attributes);
  return { B, cached };
}

/** The tensors that functions captured, as buffers. */
export const capturedBuffers = (inputs: readonly TensorType[], attributes: PackedAttributes): KernelBuffer[] =>
  inputs.slice(attributes.inputs.length).map((_, i) => ({ name: `captured${i}`, input: attributes.inputs.length + i }));

/**
 * WGSL of score functions and of their places: `cached_place(row, head, segment, position, key)` of a cached key of `sequence`, and
 * `own_place(...)` of a row of the step. Uses `cached_position`.
 */
export function placeText(names: KernelNames, attributes: PackedAttributes, functions: FunctionsInKernel): string {
  const { at, size } = names;
  const parameters = 'row: u32, head: u32, segment: i32, position: i32, key: u32';
  const before = attributes.cache ? `${size.B} * ${size.cached} + ` : '';
  const cached = attributes.cache
    ? `
fn cached_place(${parameters}) -> Place {
  return Place(row, head, segment, position, u32(sequence) * ${size.cached} + key, cached_position(key));
}`
    : '';
  return `
/** The column is of all keys of all sequences, then the step's own rows; the key is its position. */
struct Place { row: u32, head: u32, segment: i32, position: i32, column: u32, key: i32 }
${functions.text(names)}
fn own_place(${parameters}) -> Place { return Place(row, head, segment, position, ${before}key, ${at.positions}(key)); }${cached}`;
}
