import { ArgumentError, ShapeError } from '../../checks/errors.ts';
import type { SymbolValues } from '../../dim.ts';
import { type HostArray, hostLength, isHostArrayOf } from '../../dtype.ts';
import type { Storage } from '../../graph/executor.ts';
import type { Graph } from '../../graph/graph.ts';
import { evaluateShape, formatShape, sizeOf } from '../../shape.ts';
import type { Conversion, Feed } from './convert.ts';
import { type OnnxRuntime, type RuntimeTensor, runtimeTensor } from './runtime.ts';
import { storageOf } from './source.ts';
import type { OnnxStorage } from './storage.ts';

interface Slot {
  readonly feed: Feed;
  shape: readonly number[];
  /** The host array that the feed at hand is around. */
  array: HostArray | undefined;
}

/** The inputs of a session, kept from run to run: what stays the same is not wrapped again. */
export class Feeds {
  readonly #runtime: OnnxRuntime;
  readonly #slots: readonly Slot[];
  readonly #tensors: Record<string, RuntimeTensor> = {};
  readonly #symbols: readonly { readonly name: string; readonly bound: number }[];
  readonly #values: number[];
  readonly #sizeArrays = new Map<string, BigInt64Array>();
  #sized = false;

  constructor(runtime: OnnxRuntime, graph: Graph, { feeds, sizeFeeds }: Conversion) {
    this.#runtime = runtime;
    this.#slots = feeds.map((feed) => ({ feed, shape: [], array: undefined }));
    this.#symbols = graph.symbols;
    this.#values = graph.symbols.map(() => -1);
    for (const { name, symbol } of sizeFeeds) {
      const array = new BigInt64Array(1);
      this.#sizeArrays.set(symbol, array);
      this.#tensors[name] = runtimeTensor(runtime, 'i64', array, [1]);
    }
  }

  /** Takes the sizes of a run; whether any differs from the run before. @throws ArgumentError */
  resize(symbols: SymbolValues): boolean {
    let changed = !this.#sized;
    for (let i = 0; i < this.#symbols.length && !changed; i++)
      changed = symbols[this.#symbols[i]!.name] !== this.#values[i];
    if (!changed) return false;
    for (const { name, bound } of this.#symbols) {
      const value = symbols[name];
      if (value === undefined || !Number.isInteger(value) || value < 0 || value > bound)
        throw new ArgumentError(`onnx: dimension ${name} must be a whole number up to ${bound}, got ${value}`);
    }
    this.#symbols.forEach(({ name }, i) => {
      this.#values[i] = symbols[name]!;
    });
    for (const [symbol, array] of this.#sizeArrays) array[0] = BigInt(symbols[symbol]!);
    for (const slot of this.#slots) {
      slot.shape = evaluateShape(slot.feed.tensor.shape, symbols);
      slot.array = undefined;
    }
    this.#sized = true;
    return true;
  }

  /** The session's inputs for a run. @throws ShapeError where an array does not hold what its input needs */
  bind(inputs: readonly (Storage | HostArray)[]): Readonly<Record<string, RuntimeTensor>> {
    for (const slot of this.#slots) {
      const { name, tensor, input } = slot.feed;
      const value = input === undefined ? storageOf(tensor) : inputs[input]!;
      if (!ArrayBuffer.isView(value)) {
        this.#tensors[name] = (value as OnnxStorage).feed(this.#runtime);
        slot.array = undefined;
      } else if (value !== slot.array) {
        this.#tensors[name] = this.#wrap(slot, value);
        slot.array = isShared(value) ? undefined : value;
      }
    }
    return this.#tensors;
  }

  #wrap({ feed, shape }: Slot, value: HostArray): RuntimeTensor {
    const { dtype } = feed.tensor;
    if (!isHostArrayOf(dtype, value) || value.length !== hostLength(dtype, sizeOf(shape)))
      throw new ShapeError(
        `onnx: input ${feed.input} takes ${sizeOf(shape)} values of ${dtype} for ${formatShape(shape)}, got a ${value.constructor.name} of ${value.length}`,
      );
    // the runtime refuses shared memory
    return runtimeTensor(this.#runtime, dtype, isShared(value) ? value.slice() : value, shape);
  }
}

function isShared({ buffer }: HostArray): boolean {
  return typeof SharedArrayBuffer === 'function' && buffer instanceof SharedArrayBuffer;
}
