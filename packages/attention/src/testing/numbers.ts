import { type Device, type Tensor, threefry2x32, uniformFromBits } from '@heddle/tensor';

/** `count` numbers of the normal distribution, the same for the same seed everywhere. */
export function normal(seed: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => {
    const radius = Math.sqrt(-2 * Math.log(1 - uniformFromBits(threefry2x32(seed, 0, i, 0))));
    return radius * Math.cos(2 * Math.PI * uniformFromBits(threefry2x32(seed, 1, i, 0)));
  });
}

/** The same as a tensor. */
export function normalTensor(device: Device, seed: number, shape: readonly number[]): Tensor {
  const count = shape.reduce((a, b) => a * b, 1);
  return device.tensor(Float32Array.from(normal(seed, count)), { shape });
}

/** |a - b| / |b|, Euclidean over all values; |a| where b is all zeros. NaN where either has one. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new RangeError(`relativeError: ${a.length} values against ${b.length}`);
  let [difference, size] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    difference += (a[i]! - b[i]!) ** 2;
    size += b[i]! ** 2;
  }
  return Math.sqrt(difference) / (size === 0 ? 1 : Math.sqrt(size));
}

/** Values of tensors, whatever their dtype. They are computed together, so that what they share is computed once. */
export async function valuesOf(device: Device, tensors: readonly Tensor[]): Promise<number[][]> {
  const floats = tensors.map((x) => x.cast('f32'));
  await device.realize(floats);
  return Promise.all(floats.map(async (x) => Array.from(await x.data())));
}
