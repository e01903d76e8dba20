import { DisposedError } from '../../../checks/errors.ts';
import { byteSize, type DType, type HostArray, hostArray, isBlockFormat } from '../../../dtype.ts';
import type { Storage } from '../../../graph/executor.ts';
import { type ConcreteType, sizeOf } from '../../../shape.ts';
import { fromLayout, layoutBytes, toLayout } from './block-layout.ts';
import type { DeviceBuffer } from './buffers.ts';

/** Values in a GPU buffer: f32, i32 and u32 as they are, f16 and bf16 in two bytes, bool in four, row-major; blocks by `block-layout.ts`. */
export class WebGpuStorage implements Storage {
  readonly type: ConcreteType;
  /** Bytes of the values; the buffer may be a few larger. */
  readonly byteLength: number;
  readonly #buffer: DeviceBuffer;
  readonly #release: () => void;
  #disposed = false;

  constructor(type: ConcreteType, buffer: DeviceBuffer, release: () => void) {
    this.type = type;
    this.byteLength = valueBytes(type);
    this.#buffer = buffer;
    this.#release = release;
  }

  /** @throws DisposedError */
  get buffer(): DeviceBuffer {
    if (this.#disposed) throw new DisposedError('webgpu: the storage was disposed of');
    return this.#buffer;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#release();
  }
}

function valueBytes({ shape, dtype }: ConcreteType): number {
  if (isBlockFormat(dtype)) return layoutBytes(dtype, sizeOf(shape));
  return sizeOf(shape) * (dtype === 'bool' ? 4 : byteSize[dtype]);
}

/** Values as they lie in a buffer: bool widened to four bytes, an odd half at the end completed to a word, blocks in groups. */
export function toDevice(dtype: DType, data: HostArray): HostArray {
  if (dtype === 'bool') return Uint32Array.from(data, (value) => Number(value !== 0));
  if (isBlockFormat(dtype)) return toLayout(dtype, data as Uint8Array);
  if (byteSize[dtype] !== 2 || data.length % 2 === 0) return data;
  const even = new Uint16Array(data.length + 1);
  even.set(data);
  return even;
}

/** The host's array of values that lie in `bytes`. */
export function fromDevice({ shape, dtype }: ConcreteType, bytes: ArrayBuffer): HostArray {
  const length = sizeOf(shape);
  switch (dtype) {
    case 'f32':
      return new Float32Array(bytes, 0, length);
    case 'i32':
      return new Int32Array(bytes, 0, length);
    case 'u32':
      return new Uint32Array(bytes, 0, length);
    case 'f16':
    case 'bf16':
      return new Uint16Array(bytes, 0, length);
    case 'bool': {
      const values = hostArray('bool', length);
      values.set(new Uint32Array(bytes, 0, length));
      return values;
    }
    default:
      return fromLayout(dtype, bytes, length);
  }
}
