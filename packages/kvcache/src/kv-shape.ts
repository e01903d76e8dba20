import { ArgumentError, checkArguments, checkOptions } from '@heddle/tensor';
import { CacheFormatError } from './errors.ts';

/** One row `[heads, width]` of each token: keys, values, or what else a layer reads again. */
export interface RowsStore {
  readonly kind: 'rows';
  readonly shape: readonly [heads: number, width: number];
  readonly dtype: 'f32' | 'f16';
  /** Only rows less than `window` positions back are ever read; all of them by default. */
  readonly window?: number;
  /** Rows in front that are read in spite of the window. Default 0. */
  readonly keepFirst?: number;
  /**
   * Where a layer has `keys` or `latent` and no `values`: each value is the leading part of its key, so many of it. Default all.
   * Multi-head latent attention keeps one row `[1, compressed + rotary]` of each token, of which `compressed` are the value.
   */
  readonly valueDim?: number;
}

/**
 * Rows that are kept as integers of 8 or 4 bits, symmetric around 0, with an f32 factor for each head and token: what is read is
 * off by half a factor at most, the largest magnitude over 254, or over 14.
 */
export interface QuantizedFormat {
  readonly bits: 8 | 4;
  /** Into how many parts with a factor each the width of a head is cut; parts are multiples of 8. Default 1. */
  readonly groups?: number;
  /** Whether heads are rotated first, so that outliers of single channels are spread (`rotateHeads`). Default with 4 bits. */
  readonly rotate?: boolean;
  /**
   * What 4 bits do to the model at hand, without which they are refused: the mean KL divergence of the next token's distribution
   * from that of a cache that keeps everything, in nats over text that the model has not seen, and the most that is let pass.
   * `measureCacheFormat` of `@heddle/llm` measures it.
   */
  readonly measured?: { readonly meanKl: number; readonly limit: number };
}

export const rotates = ({ bits, rotate = bits === 4 }: QuantizedFormat): boolean => rotate;

/** In what format a store of rows is kept; undefined for its own dtype. */
export type FormatOf = (store: RowsStore, name: string, layer: number) => QuantizedFormat | undefined;

/** One value of a whole sequence, which each token replaces: the state of a recurrence. It is zeros before the first token. */
export interface StateStore {
  readonly kind: 'state';
  readonly shape: readonly number[];
  readonly dtype: 'f32' | 'f16';
  readonly window?: undefined;
  readonly keepFirst?: undefined;
}

/** What a layer keeps under one name. */
export type KvStore = RowsStore | StateStore;

/**
 * What the layers of a model keep, by layer and by name: `keys` and `values` for attention, other names for what else a layer
 * reads again. A layer that reads what another one wrote keeps nothing: `{}`.
 */
export interface KvShape {
  readonly layers: readonly Readonly<Record<string, KvStore>>[];
}

/** More than any model has: a list of so many still fits in memory. */
const maxLayers = 2 ** 16;

/** Sizes of attention layers that are all alike. */
export interface KeyValueSizes {
  readonly layers: number;
  /** K, key-value heads. */
  readonly heads: number;
  /** D, values per head. */
  readonly headDim: number;
  /** Values per head of the values, where they are of another width. */
  readonly valueDim?: number;
  readonly dtype: 'f32' | 'f16';
  readonly window?: number;
  readonly keepFirst?: number;
}

/** The shape of a model whose layers all keep keys `[K, D]` and values of one size. @throws ArgumentError for no whole number of layers */
export function keyValueShape(sizes: KeyValueSizes): KvShape {
  checkOptions('keyValueShape', sizes, {
    layers: 'size',
    heads: 'size',
    headDim: 'size',
    valueDim: 'size?',
    dtype: ['f32', 'f16'],
    window: 'size?',
    keepFirst: 'whole?',
  });
  const { layers, heads, headDim, valueDim = headDim, dtype, window, keepFirst } = sizes;
  if (layers > maxLayers)
    throw new ArgumentError(`keyValueShape: layers must be a whole number from 1 to ${maxLayers}, got ${layers}`);
  const store = (width: number): RowsStore => ({
    kind: 'rows',
    shape: [heads, width],
    dtype,
    ...(window !== undefined && { window }),
    ...(keepFirst !== undefined && { keepFirst }),
  });
  return { layers: Array.from({ length: layers }, () => ({ keys: store(headDim), values: store(valueDim) })) };
}

/** Device memory of one token, in bytes, over all layers and stores of rows. */
export function bytesPerToken(shape: KvShape): number {
  checkStores('bytesPerToken', shape);
  return sumOver(shape, (store) => (isRows(store) ? storeBytes(store) : 0));
}

/** Device memory of the states of one sequence at one length, in bytes, over all layers. */
export function bytesPerState(shape: KvShape): number {
  checkStores('bytesPerState', shape);
  return sumOver(shape, (store) => (isRows(store) ? 0 : storeBytes(store)));
}

function sumOver(shape: KvShape, bytesOf: (store: KvStore) => number): number {
  let bytes = 0;
  for (const layer of shape.layers) for (const store of Object.values(layer)) bytes += bytesOf(store);
  return bytes;
}

export const isRows = (store: KvStore): store is RowsStore => store.kind === 'rows';
export const isState = (store: KvStore): store is StateStore => store.kind === 'state';

/** Bytes of a row, or of a state. */
export const storeBytes = ({ shape, dtype }: KvStore): number =>
  (shape as readonly number[]).reduce((product, size) => product * size, 1) * (dtype === 'f16' ? 2 : 4);

/** Bytes of a row in a format. */
export function rowBytes(store: RowsStore, format: QuantizedFormat | undefined): number {
  const [heads, width] = store.shape;
  return format ? heads * ((width * format.bits) / 8 + 4 * (format.groups ?? 1)) : storeBytes(store);
}

/** Whether every store of rows is kept in its own dtype. */
export const keepsExactly = ({ layers }: KvShape, formatOf: FormatOf): boolean =>
  layers.every((layer, index) =>
    Object.entries(layer).every(([name, store]) => !isRows(store) || !formatOf(store, name, index)),
  );

function checkFormat(where: string, format: QuantizedFormat): void {
  checkOptions(where, format, { bits: [8, 4], groups: 'size?', rotate: 'boolean?', measured: 'object?' });
}

/**
 * One format for all stores, as a function.
 * @throws ArgumentError where a store cannot be kept in its format, CacheFormatError where nobody has measured what it does
 */
export function checkedFormat(
  operation: string,
  { layers }: KvShape,
  format: QuantizedFormat | FormatOf | undefined,
): FormatOf {
  if (typeof format !== 'function') checkArguments(operation, 'object?', { format });
  const formatOf: FormatOf = typeof format === 'function' ? format : () => format;
  for (const [index, layer] of layers.entries())
    for (const [name, store] of Object.entries(layer)) {
      const chosen = isRows(store) ? formatOf(store, name, index) : undefined;
      if (chosen === undefined) continue;
      const where = `${operation}: the format of ${name} of layer ${index}`;
      checkFormat(where, chosen);
      const { bits, groups = 1, measured } = chosen;
      if (bits === 4 && !(measured && measured.meanKl <= measured.limit))
        throw new CacheFormatError(
          `${where} has 4 bits, which need a measurement on the model within its limit (measureCacheFormat), got ${measured ? `a mean KL of ${measured.meanKl} of at most ${measured.limit}` : 'none'}`,
        );
      if (store.shape[1]! % (8 * groups) !== 0)
        throw new ArgumentError(
          `${where} must cut a width of ${store.shape[1]} into groups of a multiple of 8 values, got ${groups}`,
        );
    }
  return formatOf;
}

/** @throws ArgumentError for a shape that no cache can hold, naming layer and store */
export function checkShape(operation: string, shape: KvShape): void {
  const stores = checkStores(operation, shape);
  if (shape.layers.length === 0) throw new ArgumentError(`${operation}: shape must list at least one layer, got none`);
  if (stores === 0) throw new ArgumentError(`${operation}: shape must have at least one store, got none`);
}

/** How many stores there are. @throws ArgumentError for what is none, naming layer and store */
function checkStores(operation: string, shape: KvShape): number {
  checkOptions(`${operation}: shape`, shape, { layers: 'list' });
  let stores = 0;
  for (const [index, layer] of shape.layers.entries()) {
    checkArguments(`${operation}: shape`, 'object', { [`layers[${index}]`]: layer });
    for (const [name, store] of Object.entries(layer) as [string, KvStore][]) {
      stores++;
      checkStore(`${operation}: ${name} of layer ${index}`, store);
    }
  }
  return stores;
}

function checkStore(where: string, store: KvStore): void {
  checkOptions(where, store, ['kind', 'shape', 'dtype', 'window', 'keepFirst', 'valueDim']);
  const { kind, shape, dtype, window, keepFirst, valueDim } = store as
    | RowsStore
    | (StateStore & { valueDim?: undefined });
  if (kind !== 'rows' && kind !== 'state')
    throw new ArgumentError(`${where}: kind must be 'rows' or 'state', got ${String(kind)}`);
  const sizes = Array.isArray(shape) && shape.length > 0 && shape.every(isCount);
  if (kind === 'rows' && !(sizes && shape.length === 2))
    throw new ArgumentError(`${where}: shape must be [heads, width], both positive integers, got [${String(shape)}]`);
  if (!sizes) throw new ArgumentError(`${where}: shape must be positive integers, got [${String(shape)}]`);
  if (dtype !== 'f32' && dtype !== 'f16')
    throw new ArgumentError(`${where}: dtype must be f32 or f16, got ${String(dtype)}`);
  if (valueDim !== undefined && !(isCount(valueDim) && valueDim <= shape[1]!))
    throw new ArgumentError(`${where}: valueDim must be from 1 to the width ${shape[1]}, got ${valueDim}`);
  if (kind === 'state' && (window !== undefined || keepFirst !== undefined))
    throw new ArgumentError(`${where}: a state has no window, got ${window ?? keepFirst}`);
  if (window !== undefined && !isCount(window))
    throw new ArgumentError(`${where}: window must be a positive integer, got ${window}`);
  if (keepFirst !== undefined && !(window !== undefined && Number.isSafeInteger(keepFirst) && keepFirst >= 0))
    throw new ArgumentError(`${where}: keepFirst must be a whole number from 0 beside a window, got ${keepFirst}`);
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) > 0;
