import { checkArguments, checkOptions, gumbelFromBits, threefry2x32 } from '@heddle/tensor';

/** Second word of the counter that keys of sequences are made with: they have nothing to do with draws of the seed itself. */
const sequenceStream = 2;

/** Larger than any value of the noise. */
const mostNoise = 33;

/** The two words that the draws of a sequence depend on. */
export function drawKey(seed: number, sequence: number): [number, number] {
  return threefry2x32(seed % 2 ** 32, Math.floor(seed / 2 ** 32), sequence, sequenceStream);
}

/** Which draw it is. */
export interface Draw {
  /** An integer from 0 to 2^53 - 1. */
  readonly seed: number;
  /** Tells sequences with one seed apart; an integer from 0, below 2^32. */
  readonly sequence: number;
  /** How many tokens the sequence has generated before. */
  readonly step: number;
}

/**
 * A token by the softmax of logits `[V]`, of which one is finite and none NaN or +Infinity: the largest with Gumbel noise added,
 * which is a function of seed, sequence, step and token id. On a device the same is drawn, unless two tokens are equal within
 * the rounding of f32.
 */
export function drawToken(logits: Float32Array, draw: Draw): number {
  checkArguments('drawToken', 'numbers', { logits });
  checkOptions('drawToken', draw, { seed: 'whole', sequence: 'whole', step: 'whole' });
  const { seed, sequence, step } = draw;
  const [key0, key1] = drawKey(seed, sequence);
  let best = -1;
  let top = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    // most tokens are beyond reach
    if (!(logit + mostNoise > top)) continue;
    const noisy = logit + gumbelFromBits(threefry2x32(key0, key1, id, step));
    if (noisy > top) {
      top = noisy;
      best = id;
    }
  }
  return best;
}
