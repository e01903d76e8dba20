import { logSoftmax, reshape, type Tensor, takeAlongAxis, topK } from '@heddle/tensor';

/** Most tokens whose log-probabilities are given beside that of the chosen one. */
export const mostTopLogprobs = 20;

/** Log-probabilities of a step by the model alone: before penalties, temperature and what else a sampler does. */
export interface TokenLogprobs {
  /** The token that was chosen. */
  readonly token: number;
  /** The natural logarithm of its probability. */
  readonly logprob: number;
  /** The most likely tokens, the most likely first, as many as were asked for. */
  readonly top: readonly { readonly token: number; readonly logprob: number }[];
}

/** What a plan gives of all rows of a step. */
export interface LogprobRows<T = Tensor> {
  /** `[R]`: of the chosen tokens. */
  readonly chosen: T;
  /** `[R, n]`. */
  readonly topTokens: T;
  /** `[R, n]`. */
  readonly top: T;
}

/** Records the log-probabilities of the tokens (i32 `[R]`; negative ones are none) and of the most likely ones by logits `[R, V]`. */
export function logprobsOf(logits: Tensor, tokens: Tensor): LogprobRows {
  const logprobs = logSoftmax(logits, -1);
  const [rows, V] = logits.shape as [number, number];
  const { values, indices } = topK(logprobs, Math.min(mostTopLogprobs, V), -1);
  const chosen = takeAlongAxis(logprobs, reshape(tokens.maximum(0), [rows, 1]), 1);
  return { chosen: reshape(chosen, [rows]), topTokens: indices, top: values };
}

/** What row `row` says of a token, with the `count` most likely ones. */
export function logprobsOfRow(
  { chosen, topTokens, top }: LogprobRows<ArrayLike<number>>,
  row: number,
  token: number,
  count: number,
): TokenLogprobs {
  const width = top.length / chosen.length;
  const most = Array.from({ length: Math.min(count, width) }, (_, i) => ({
    token: topTokens[row * width + i]!,
    logprob: top[row * width + i]!,
  }));
  return { token, logprob: chosen[row]!, top: most };
}

/** The same of a token that was chosen on the host from logits `[V]`. */
export function logprobsOnHost(logits: Float32Array, token: number, count: number): TokenLogprobs {
  const high = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - high);
  const logprob = (id: number) => logits[id]! - high - Math.log(sum);
  const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]!).slice(0, count);
  return { token, logprob: logprob(token), top: order.map((id) => ({ token: id, logprob: logprob(id) })) };
}
