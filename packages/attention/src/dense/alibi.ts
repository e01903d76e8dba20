import { arange, type Device, type Tensor, where } from '@heddle/tensor';

/**
 * ALiBi's slopes for H heads, f32 `[H]`: 2^(-8 (h + 1) / H) where H is a power of two; otherwise those of the next lower
 * power of two, then every second one of twice as many. Source: https://arxiv.org/abs/2108.12409
 */
export function alibiSlopes(device: Device, heads: number): Tensor {
  const whole = 2 ** Math.floor(Math.log2(heads));
  const h = arange(device, heads, 'f32');
  const exponent = where(
    h.less(whole),
    h.add(1).mul(-8 / whole),
    h
      .sub(whole)
      .mul(2)
      .add(1)
      .mul(-4 / whole),
  );
  return exponent.mul(Math.LN2).exp();
}
