import { DisposedError } from '../../checks/errors.ts';
import type { HostArray } from '../../dtype.ts';
import type { Storage } from '../../graph/executor.ts';
import type { ConcreteType } from '../../shape.ts';
import { type OnnxRuntime, type RuntimeTensor, runtimeTensor } from './runtime.ts';

/** Values of the ONNX executor: an array on the host, which the runtime reads in place. */
export class OnnxStorage implements Storage {
  readonly type: ConcreteType;
  readonly byteLength: number;
  #data: HostArray | undefined;
  #feed: RuntimeTensor | undefined;
  readonly #onDispose: (storage: OnnxStorage) => void;

  constructor(type: ConcreteType, data: HostArray, onDispose: (storage: OnnxStorage) => void) {
    this.type = type;
    this.#data = data;
    this.byteLength = data.byteLength;
    this.#onDispose = onDispose;
  }

  /** @throws DisposedError */
  get data(): HostArray {
    if (!this.#data) throw new DisposedError(`onnx: a storage was used after it was disposed of`);
    return this.#data;
  }
  /** Takes over an array of the same length in place of the one that it has. */
  replace(data: HostArray): void {
    this.#data = data;
    this.#feed = undefined;
  }
  /** The values as an input of a session. */
  feed(runtime: OnnxRuntime): RuntimeTensor {
    this.#feed ??= runtimeTensor(runtime, this.type.dtype, this.data, this.type.shape);
    return this.#feed;
  }
  dispose(): void {
    if (!this.#data) return;
    this.#data = undefined;
    this.#feed = undefined;
    this.#onDispose(this);
  }
}

/** Bytes accounted for, for an array that comes later or never. */
export interface Reservation {
  fill(data: HostArray): OnnxStorage;
  release(): void;
}
