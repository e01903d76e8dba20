import { dequantizeRows, type PageBits, quantizeRows, rotateHeads } from '@heddle/attention';
import { type Device, type Tensor, take, type Update, type Variable } from '@heddle/tensor';
import { type QuantizedFormat, type RowsStore, rotates } from '../kv-shape.ts';

/** Which store of a shape it is. */
export interface StorePlace {
  readonly layer: number;
  readonly name: string;
  readonly store: RowsStore;
  readonly group: number;
}

/** Integers and factors, and how they are to be read. */
interface QuantizedPages {
  readonly words: Tensor;
  readonly scales: Tensor;
  readonly bits: PageBits;
  readonly rotated: boolean;
}

/** The device memory of one store: rows of all slots of its group. */
export interface StorePool extends StorePlace {
  readonly byteLength: number;
  /** What attention reads of integers and factors, where rows are kept so. */
  readonly quantized: QuantizedPages | undefined;
  /** `[slots, heads, width]`, of the store's dtype. */
  rows(): Tensor;
  /** Those of `slots`, in their order. */
  take(slots: Tensor): Tensor;
  write(slots: Tensor, rows: Tensor): readonly Update[];
  copy(from: Tensor, to: Tensor): readonly Update[];
  /** What it is kept in, by slot: whoever reads and writes these has what is kept, bit by bit. */
  readonly parts: readonly Variable[];
  /** Rows of the store's dtype, from what some slots of `parts` hold. */
  decode(parts: readonly Tensor[]): Tensor;
  dispose(): void;
}

/** @throws OutOfMemoryError, then nothing was allocated */
export function openStorePool(
  device: Device,
  place: StorePlace,
  slots: number,
  format: QuantizedFormat | undefined,
): StorePool {
  return format ? quantizedPool(device, place, slots, format) : plainPool(device, place, slots);
}

const variableName = ({ name, layer }: StorePlace) => `${name} of layer ${layer}`;

function plainPool(device: Device, place: StorePlace, slots: number): StorePool {
  const { shape, dtype } = place.store;
  const rows = device.zeroVariable([slots, ...shape], { dtype, name: variableName(place), owner: 'kv cache' });
  return {
    ...place,
    byteLength: rows.storage!.byteLength,
    quantized: undefined,
    rows: () => rows,
    take: (at) => take(rows, at),
    write: (at, written) => [rows.scatter(at, written.cast(dtype))],
    copy: (from, to) => [rows.scatter(to, take(rows, from))],
    parts: [rows],
    decode: ([part]) => part!,
    dispose: () => rows.dispose(),
  };
}

function quantizedPool(device: Device, place: StorePlace, slots: number, format: QuantizedFormat): StorePool {
  const { bits, groups = 1 } = format;
  const rotated = rotates(format);
  const [heads, width] = place.store.shape;
  const { dtype } = place.store;
  const options = { name: variableName(place), owner: 'kv cache' };
  const words = device.zeroVariable([slots, heads, (width * bits) / 32], { ...options, dtype: 'u32' });
  let scales: Variable;
  try {
    scales = device.zeroVariable([slots, heads, groups], { ...options, name: `scales of ${options.name}` });
  } catch (error) {
    words.dispose();
    throw error;
  }
  const turned = (rows: Tensor) => (rotated ? rotateHeads(rows) : rows);
  const decoded = (some: Tensor, factors: Tensor) =>
    turned(dequantizeRows({ words: some, scales: factors }, bits)).cast(dtype);
  return {
    ...place,
    byteLength: words.storage!.byteLength + scales.storage!.byteLength,
    quantized: { words, scales, bits, rotated },
    rows: () => decoded(words, scales),
    take: (at) => decoded(take(words, at), take(scales, at)),
    write: (at, written) => {
      const made = quantizeRows(turned(written), bits, { groups });
      return [words.scatter(at, made.words), scales.scatter(at, made.scales)];
    },
    copy: (from, to) => [words.scatter(to, take(words, from)), scales.scatter(to, take(scales, from))],
    parts: [words, scales],
    decode: ([some, factors]) => decoded(some!, factors!),
    dispose: () => {
      words.dispose();
      scales.dispose();
    },
  };
}
