import {
  type DynamicRotary,
  type RotarySpec,
  type RotaryTable,
  rotaryFrequencies,
  rotaryTable,
} from '@heddle/attention';
import {
  ArgumentError,
  arange,
  byteSize,
  cast,
  cos,
  type Device,
  exp,
  full,
  log,
  max,
  maximum,
  sin,
  type Tensor,
  where,
} from '@heddle/tensor';

/** Which rows a forward pass has. */
export interface RowPlaces {
  /** i32, `[T]` or `[B, L]`. */
  readonly positions: Tensor;
  /** i32 `[T]`, for packed rows. */
  readonly segments?: Tensor | undefined;
  /** i32, of the shape of `positions`: tokens of the sequence that a row belongs to. */
  readonly sequenceLengths?: Tensor | undefined;
}

/** How the rows of a forward pass turn: row i by row `places[i]` of the table. */
export interface RowRotation {
  readonly places: Tensor;
  readonly table: RotaryTable;
}

/** The rotary embedding of a model, of whatever kind its scaling is. */
export interface ModelRotary {
  /** Present where the length of a sequence changes the rotation, see `CausalLm.lengthScaling`. */
  readonly lengthScaling?: { readonly recomputeBeyond?: number };
  rows(places: RowPlaces): RowRotation;
  dispose(): void;
}

/**
 * The rotary embedding of a model of so many positions. Each row turns by the length of its own sequence, whatever is
 * computed beside it.
 * @throws ArgumentError for a spec out of range, OutOfMemoryError; then nothing is left on the device
 */
export function modelRotary(device: Device, spec: RotarySpec, maxPositions: number): ModelRotary {
  const { scaling } = spec;
  if (scaling.kind === 'longrope' && maxPositions > scaling.originalMaxPositions)
    return shortAndLong(device, spec, maxPositions, scaling.originalMaxPositions);
  if (scaling.kind === 'dynamic' && maxPositions > scaling.maxPositions) return growing(device, spec, scaling);
  const table = rotaryTable(device, spec, maxPositions);
  return { rows: ({ positions }) => ({ places: positions, table }), dispose: () => free(table) };
}

/** Bytes of a device that it holds. */
export function modelRotaryBytes({ dim, scaling }: RotarySpec, maxPositions: number): number {
  const rowBytes = dim * byteSize.f32; // a cosine and a sine of each pair
  if (scaling.kind === 'longrope' && maxPositions > scaling.originalMaxPositions) return 2 * maxPositions * rowBytes;
  if (scaling.kind === 'dynamic' && maxPositions > scaling.maxPositions) return rowBytes;
  return maxPositions * rowBytes;
}

/** longrope: one table under the other, and rows of sequences beyond the original length look into the second. */
function shortAndLong(device: Device, spec: RotarySpec, maxPositions: number, original: number): ModelRotary {
  const kinds = [rotaryFrequencies(spec), rotaryFrequencies(spec, maxPositions)];
  const half = spec.dim / 2;
  const tabulate = (f: (angle: number) => number) => {
    const values = kinds.flatMap(({ inverseFrequencies, attentionFactor }) =>
      Array.from({ length: maxPositions }, (_, position) =>
        inverseFrequencies.map((frequency) => attentionFactor * f(position * frequency)),
      ),
    );
    const data = new Float32Array(values.length * half);
    for (const [i, row] of values.entries()) data.set(row, i * half);
    return device.tensor(data, { shape: [values.length, half] });
  };
  const cosines = tabulate(Math.cos);
  let sines: Tensor;
  try {
    sines = tabulate(Math.sin);
  } catch (error) {
    cosines.dispose();
    throw error;
  }
  const table = { cos: cosines, sin: sines };
  return {
    lengthScaling: { recomputeBeyond: original },
    rows(places) {
      const isLong = lengthsOf(device, places).greater(original);
      const second = full(device, places.positions.shape, maxPositions, 'i32');
      return { places: places.positions.add(where(isLong, second, second.mul(0))), table };
    },
    dispose: () => free(table),
  };
}

/**
 * dynamic: the base grows with the length, so rows have angles of their own. With theta * g^(d / (d - 2)) for theta the
 * frequency of pair i falls by g^(2i / (d - 2)).
 */
function growing(device: Device, spec: RotarySpec, { factor, maxPositions }: DynamicRotary): ModelRotary {
  const { inverseFrequencies } = rotaryFrequencies(spec);
  const half = inverseFrequencies.length;
  const frequencies = device.tensor(Float32Array.from(inverseFrequencies), { shape: [half] });
  const exponents = Float32Array.from({ length: half }, (_, i) => (-2 * i) / (spec.dim - 2));
  let powers: Tensor;
  try {
    powers = device.tensor(exponents, { shape: [half] });
  } catch (error) {
    frequencies.dispose();
    throw error;
  }
  return {
    lengthScaling: {},
    rows(places) {
      const { positions } = places;
      const lengths = maximum(cast(lengthsOf(device, places).flatten(), 'f32'), maxPositions);
      const growth = lengths.mul(factor / maxPositions).sub(factor - 1);
      const rows = lengths.shape[0]!;
      const column = (x: Tensor) => x.reshape([rows, 1]);
      const angles = column(cast(positions.flatten(), 'f32'))
        .mul(frequencies)
        .mul(exp(column(log(growth)).mul(powers)));
      const own = arange(device, rows);
      return { places: own.reshape(positions.shape), table: { cos: cos(angles), sin: sin(angles) } };
    },
    dispose() {
      frequencies.dispose();
      powers.dispose();
    },
  };
}

/** What was given, or one more than the highest position of each row's sequence. */
function lengthsOf(device: Device, { positions, segments, sequenceLengths }: RowPlaces): Tensor {
  if (sequenceLengths) {
    if (String(sequenceLengths.shape) !== String(positions.shape) || sequenceLengths.dtype !== 'i32')
      throw new ArgumentError(
        `forward: sequenceLengths must be i32 of the shape of tokens, got ${sequenceLengths.dtype} ${String(sequenceLengths.shape)}`,
      );
    return sequenceLengths;
  }
  const { shape } = positions;
  if (!segments) return max(positions, -1, { keepDims: true }).add(1).expand(shape);
  const [T] = shape;
  const same = segments.reshape([T!, 1]).equal(segments.reshape([1, T!]));
  const seen = where(same, positions.reshape([1, T!]).expand([T!, T!]), full(device, [T!, T!], 0, 'i32'));
  return max(seen, -1).add(1);
}

function free({ cos, sin }: RotaryTable): void {
  cos.dispose();
  sin.dispose();
}
