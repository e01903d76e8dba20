import type {} from 'vitest';
import { allClose, type Comparable, type Tolerance } from './all-close.ts';

/** What vitest takes from a matcher. */
export interface MatcherResult {
  readonly pass: boolean;
  message(): string;
}

/**
 * Matchers for vitest: `expect.extend(tensorMatchers)`, then `await expect(tensor).toBeAllClose(expected)`. The tolerance is
 * that of `allClose`.
 */
export const tensorMatchers: {
  toBeAllClose(received: Comparable, expected: Comparable, tolerance?: Tolerance): Promise<MatcherResult>;
} = {
  async toBeAllClose(received, expected, tolerance) {
    const { pass, message } = await allClose(received, expected, tolerance);
    return { pass, message: () => message };
  },
};

declare module 'vitest' {
  interface Matchers<T> {
    /** Whether values are those expected, within a tolerance; awaited. */
    toBeAllClose(expected: Comparable, tolerance?: Tolerance): Promise<T>;
  }
}
