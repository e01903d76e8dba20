/**
 * Stands for minus infinity where a key is not seen: the lowest f32, and finite, because kernels may assume that there are no
 * infinities. It is also the log-sum-exp of a row that sees no key.
 */
export const lowestScore: number = -3.4028234663852886e38;

/**
 * Scores of keys that are seen are raised to this, so that the lowest one cannot be taken for them; times log2(e) it is finite
 * and exact. A score of minus infinity hides its key.
 */
export const lowestSeenScore: number = -(2 ** 126);
