import { ArgumentError, calledAs, checkArguments, concat, ShapeError, type Tensor } from '@heddle/tensor';

/**
 * Joins attentions of the same queries over different keys into the attention over all of them, exactly: keys may be split
 * over calls or devices.
 *
 * @param outs `[B, L, H, D]` each; @param lses f32 `[B, H, L]` each, as `attentionWithLse` gives them. A sink may be in only
 *   one of the parts.
 * @returns The joint output in the dtype of the first and its log-sum-exp; differentiable.
 * @throws ArgumentError, ShapeError
 */
export function mergeAttention(
  outs: readonly Tensor[],
  lses: readonly Tensor[],
): { readonly out: Tensor; readonly lse: Tensor } {
  checkArguments('mergeAttention', 'tensors', { outs, lses });
  return calledAs('mergeAttention', () => {
    const first = outs[0];
    if (!first || outs.length !== lses.length)
      throw new ArgumentError(
        `mergeAttention: takes as many outputs as log-sum-exps, got ${outs.length} and ${lses.length}`,
      );
    for (const out of outs)
      if (out.rank !== 4 || String(out.shape) !== String(first.shape))
        throw new ShapeError(
          `mergeAttention: outputs must be [B, L, H, D] and alike, got [${first.shape}] and [${out.shape}]`,
        );
    const [B, L, H] = first.shape as [number, number, number];
    const all = concat(
      lses.map((lse) => lse.reshape([1, B, H, L])),
      0,
    );
    const highest = all.max(0, { keepDims: true });
    const weights = all.sub(highest).exp();
    const sum = weights.sum(0);
    const share = (i: number) =>
      weights
        .slice(0, i, i + 1)
        .reshape([B, H, L])
        .div(sum)
        .permute([0, 2, 1])
        .reshape([B, L, H, 1]);
    const out = outs.map((part, i) => part.cast('f32').mul(share(i))).reduce((a, b) => a.add(b));
    return { out: out.cast(first.dtype), lse: highest.reshape([B, H, L]).add(sum.log()) };
  });
}
