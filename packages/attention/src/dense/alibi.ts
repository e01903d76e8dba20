import { arange, checkArguments, type Device, type Tensor, where } from '@heddle/tensor';
import type { ScoreMod } from '../flex/trace.ts';

/**
 * ALiBi's slopes for H heads, f32 `[H]`: 2^(-8 (h + 1) / H) where H is a power of two; otherwise those of the next lower
 * power of two, then every second one of twice as many. Source: https://arxiv.org/abs/2108.12409
 */
export function alibiSlopes(device: Device, heads: number): Tensor {
  return slopesOf(arange(device, heads, 'f32'), heads);
}

/** ALiBi as a function of scores, for kernels over a cache: they lose the slope of their head of H times the distance. */
export function alibiScores(heads: number): ScoreMod {
  checkArguments('alibiScores', 'size', { heads });
  return (score, { h, q, k }) => score.sub(slopesOf(h.cast('f32'), heads).mul(q.sub(k).cast('f32')));
}

/** The slopes of heads h of H, f32. */
function slopesOf(h: Tensor, heads: number): Tensor {
  const whole = 2 ** Math.floor(Math.log2(heads));
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
