import { inject } from 'vitest';

/** How many times more often than usual properties are tried: 1 in `npm test`, more in `npm run soak`. */
export const times: number = inject('times');

/**
 * Parameters for fast-check: `fc.assert(fc.property(...), runs(200))` tries 200 cases, drawn from the seed of the run, which
 * its closing lines name. `usual` is the seed where none was asked for.
 */
export function runs(count: number, usual?: number): { numRuns: number; seed: number; endOnFailure: boolean } {
  const seed = usual !== undefined && times === 1 && !inject('seedIsNamed') ? usual : inject('seed');
  return { numRuns: count * times, seed, endOnFailure: inject('firstFailureOnly') };
}
