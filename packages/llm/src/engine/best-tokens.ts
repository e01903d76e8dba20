import { abs, argmax, greater, isNan, max, or, type Tensor, where } from '@heddle/tensor';

/** The largest finite f32. */
const largest = (2 - 2 ** -23) * 2 ** 127;

/** The most likely token of each row of logits `[R, V]`, i32 `[R]`; -1 where the row holds NaN or +Infinity, or nothing finite. */
export function bestTokens(logits: Tensor): Tensor {
  const top = max(logits, -1); // NaN where the row holds one
  return where(or(isNan(top), greater(abs(top), largest)), -1, argmax(logits, -1));
}
