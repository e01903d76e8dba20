import { type Device, randomNormal, type Tensor } from '@heddle/tensor';

/** f16 values of the normal distribution, made on the device. The speed of products depends on the values. */
export async function normalHalves(device: Device, seed: number, shape: readonly number[]): Promise<Tensor> {
  return randomNormal(device, shape, seed, { dtype: 'f16' }).realize();
}
