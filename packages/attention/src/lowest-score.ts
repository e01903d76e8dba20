/**
 * Stands for minus infinity: below any real score, and finite, because kernels may assume that there are no infinities. It is
 * also the log-sum-exp of a row that sees no key.
 */
export const lowestScore = -1e30;
