import { calledAs } from '../checks/called-as.ts';
import { checkArguments } from '../checks/check-arguments.ts';
import { checkOptions } from '../checks/check-options.ts';
import { DTypeError, ShapeError } from '../checks/errors.ts';
import { isStorageDType } from '../dtype.ts';
import type { Device } from '../graph/device.ts';
import type { Tensor } from '../graph/tensor.ts';
import { formatShape } from '../shape.ts';
import type { NpyArray } from './npy.ts';
import { npyDTypes } from './npy-header.ts';

/**
 * A tensor with the values of an array, owned by the caller: f64 becomes f32, smaller and 64-bit integers become i32 or u32,
 * the others stay as they are.
 * @throws DTypeError where a 64-bit integer does not fit; OutOfMemoryError
 */
export function tensorOfNpy(device: Device, array: NpyArray): Tensor {
  checkArguments('tensorOfNpy', 'device', { device });
  checkOptions('tensorOfNpy', array, { dtype: npyDTypes, shape: 'list', data: 'numbers' });
  return calledAs('tensorOfNpy', () => tensorOf(device, array));
}

function tensorOf(device: Device, { dtype, shape, data }: NpyArray): Tensor {
  switch (dtype) {
    case 'f64':
      return device.tensor(Float32Array.from(data), { shape, dtype: 'f32' });
    case 'i64':
      return device.tensor(narrow(data, Int32Array, -(2 ** 31), 2 ** 31 - 1), { shape, dtype: 'i32' });
    case 'u64':
      return device.tensor(narrow(data, Uint32Array, 0, 2 ** 32 - 1), { shape, dtype: 'u32' });
    case 'i16':
    case 'i8':
      return device.tensor(Int32Array.from(data), { shape, dtype: 'i32' });
    case 'u16':
    case 'u8':
      return device.tensor(Uint32Array.from(data), { shape, dtype: 'u32' });
    default:
      return device.tensor(data, { shape, dtype });
  }
}

function narrow<T extends Int32Array | Uint32Array>(
  data: BigInt64Array | BigUint64Array,
  type: new (length: number) => T,
  low: number,
  high: number,
): T {
  const out = new type(data.length);
  data.forEach((value: bigint, i: number) => {
    if (value < low || value > high)
      throw new DTypeError(`tensorOfNpy: ${value} at place ${i} must lie in [${low}, ${high}] for 32 bits`);
    out[i] = Number(value);
  });
  return out;
}

/** The values of a tensor as an array to write. @throws ShapeError for symbolic dimensions; DTypeError where NumPy has no such dtype */
export async function npyOfTensor(tensor: Tensor): Promise<NpyArray> {
  checkArguments('npyOfTensor', 'tensor', { tensor });
  const { shape, dtype } = tensor;
  if (!shape.every((size): size is number => typeof size === 'number'))
    throw new ShapeError(`npyOfTensor: sizes must be numbers, got ${formatShape(shape)}`);
  if (isStorageDType(dtype))
    throw new DTypeError(
      `npyOfTensor: the format has no ${dtype}; ${dtype === 'bf16' ? 'cast' : 'dequantize'} the tensor`,
    );
  return { dtype, shape, data: await tensor.data() } as NpyArray;
}
