import { ArgumentError } from '@heddle/tensor';

/**
 * Changes logits before a token is drawn. A filter takes a token out by setting its logit to -Infinity, and leaves at
 * least one in.
 */
export interface LogitFilter {
  readonly name: string;
  /**
   * Changes `logits` [V] in place.
   * @param tokens the sequence so far, prompt and generated; filters that look at it need it
   * @param generated how many of the tokens were generated
   */
  apply(logits: Float32Array, tokens?: readonly number[], generated?: number): void;
}

/**
 * Divides logits by a temperature: below 1 likely tokens become likelier, above 1 the distribution flattens.
 *
 * @param value Positive and finite.
 * @throws ArgumentError
 */
export function temperature(value: number): LogitFilter {
  if (!(value > 0 && Number.isFinite(value))) fail('temperature', 'temperature must be a positive number', value);
  return {
    name: `temperature ${value}`,
    apply(logits) {
      // From the maximum, so that a tiny temperature cannot overflow.
      const top = maximum(logits);
      for (let i = 0; i < logits.length; i++) logits[i] = (logits[i]! - top) / value;
    },
  };
}

/**
 * Keeps the k most likely tokens, and those as likely as the last of them.
 *
 * @param k Positive integer; at or above the vocabulary size nothing is taken out.
 * @throws ArgumentError
 */
export function topK(k: number): LogitFilter {
  if (!(Number.isSafeInteger(k) && k > 0)) fail('topK', 'topK must be a positive integer', k);
  return {
    name: `top-k ${k}`,
    apply(logits) {
      if (k < logits.length) keepFrom(logits, logits, nthLargest(logits.slice(), k - 1));
    },
  };
}

/**
 * Keeps the fewest most likely tokens whose probabilities sum to at least p, at least one, and those as likely as the last of
 * them (nucleus sampling, https://arxiv.org/abs/1904.09751).
 *
 * @param p From 0 (the most likely token alone) to 1 (all).
 * @throws ArgumentError
 */
export function topP(p: number): LogitFilter {
  if (!(Number.isFinite(p) && p >= 0 && p <= 1)) fail('topP', 'topP must be from 0 to 1', p);
  return {
    name: `top-p ${p}`,
    apply(logits) {
      if (p === 1) return;
      const { weights, total } = softmaxWeights(logits);
      // tokens below this weight cannot matter: all of them together miss the mass that may be left out
      const negligible = ((1 - p) * total) / logits.length;
      const candidates = weights.filter((weight) => weight >= negligible);
      keepFrom(logits, weights, thresholdOf(candidates, candidates, p * total));
    },
  };
}

/**
 * Keeps the tokens that are at least so likely as `p` times the most likely one (https://arxiv.org/abs/2407.01082).
 *
 * @param p From 0 (all) to 1 (the most likely alone).
 * @throws ArgumentError
 */
export function minP(p: number): LogitFilter {
  if (!(Number.isFinite(p) && p >= 0 && p <= 1)) fail('minP', 'minP must be from 0 to 1', p);
  return {
    name: `min-p ${p}`,
    apply(logits) {
      const top = maximum(logits);
      for (let id = 0; id < logits.length; id++)
        if (Math.exp(logits[id]! - top) < p) logits[id] = Number.NEGATIVE_INFINITY;
    },
  };
}

/** Takes out every token whose value is below `least`. */
export function keepFrom(logits: Float32Array, values: Float32Array | Float64Array, least: number): void {
  for (let id = 0; id < logits.length; id++) if (values[id]! < least) logits[id] = Number.NEGATIVE_INFINITY;
}

/** The largest of `values` such that those not below it weigh at least `mass`; the least one where all together weigh less. */
export function thresholdOf(values: Float64Array, weights: Float64Array, mass: number): number {
  const order = Uint32Array.from(values.keys()).sort((a, b) => values[b]! - values[a]!);
  let sum = 0;
  for (const id of order) {
    sum += weights[id]!;
    if (sum >= mass) return values[id]!;
  }
  return values[order.at(-1)!]!;
}

/** exp(logit - maximum) of each token in float64, and their sum: the quotients are the softmax. */
export function softmaxWeights(logits: Float32Array): { readonly weights: Float64Array; readonly total: number } {
  const top = maximum(logits);
  const weights = new Float64Array(logits.length);
  let total = 0;
  // A plain loop, here and below: callbacks take ten times as long over a real vocabulary.
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (logit === Number.NEGATIVE_INFINITY) continue;
    const weight = Math.exp(logit - top);
    weights[id] = weight;
    total += weight;
  }
  return { weights, total };
}

function maximum(values: Float32Array): number {
  let top = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) if (values[i]! > top) top = values[i]!;
  return top;
}

/** The n-th largest value, counted from 0, by quickselect; reorders `values`. */
function nthLargest(values: Float32Array, n: number): number {
  let low = 0;
  let high = values.length - 1;
  while (low < high) {
    const pivot = values[(low + high) >> 1]!;
    let i = low;
    let j = high;
    while (i <= j) {
      while (values[i]! > pivot) i++;
      while (values[j]! < pivot) j--;
      if (i <= j) {
        const value = values[i]!;
        values[i++] = values[j]!;
        values[j--] = value;
      }
    }
    if (n <= j) high = j;
    else if (n >= i) low = i;
    else break;
  }
  return values[n]!;
}

function fail(operation: string, rule: string, got: number): never {
  throw new ArgumentError(`${operation}: ${rule}, got ${String(got)}`);
}
