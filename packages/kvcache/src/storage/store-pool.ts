import { dequantizeRows, quantizeRows } from '@heddle/attention';
import { type Device, type Tensor, take, type Update, type Variable } from '@heddle/tensor';
import type { QuantizedFormat, RowsStore } from '../kv-shape.ts';

/** Which store of a shape it is. */
export interface StorePlace {
  readonly layer: number;
  readonly name: string;
  readonly store: RowsStore;
  readonly group: number;
}

/** The device memory of one store: rows of all slots of its group. */
export interface StorePool extends StorePlace {
  readonly byteLength: number;
  /** What attention reads of integers and factors, where rows are kept so. */
  readonly quantized: { readonly words: Tensor; readonly scales: Tensor } | undefined;
  /** `[slots, heads, width]`, of the store's dtype. */
  rows(): Tensor;
  /** Those of `slots`, in their order. */
  take(slots: Tensor): Tensor;
  write(slots: Tensor, rows: Tensor): readonly Update[];
  copy(from: Tensor, to: Tensor): readonly Update[];
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
    dispose: () => rows.dispose(),
  };
}

function quantizedPool(device: Device, place: StorePlace, slots: number, { groups = 1 }: QuantizedFormat): StorePool {
  const [heads, width] = place.store.shape;
  const { dtype } = place.store;
  const options = { name: variableName(place), owner: 'kv cache' };
  const words = device.zeroVariable([slots, heads, width / 4], { ...options, dtype: 'u32' });
  let scales: Variable;
  try {
    scales = device.zeroVariable([slots, heads, groups], { ...options, name: `scales of ${options.name}` });
  } catch (error) {
    words.dispose();
    throw error;
  }
  return {
    ...place,
    byteLength: words.storage!.byteLength + scales.storage!.byteLength,
    quantized: { words, scales },
    rows: () => dequantizeRows({ words, scales }, 8).cast(dtype),
    take: (at) => dequantizeRows({ words: take(words, at), scales: take(scales, at) }, 8).cast(dtype),
    write: (at, written) => {
      const made = quantizeRows(written, 8, { groups });
      return [words.scatter(at, made.words), scales.scatter(at, made.scales)];
    },
    copy: (from, to) => [words.scatter(to, take(words, from)), scales.scatter(to, take(scales, from))],
    dispose: () => {
      words.dispose();
      scales.dispose();
    },
  };
}
