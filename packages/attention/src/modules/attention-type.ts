import { ArgumentError } from '@heddle/tensor';

/** How many key-value heads there are: 'mha' as many as query heads, 'mqa' one, 'gqa-N' N, 'gqa' a quarter of the query heads. */
export type AttentionType = 'mha' | 'mqa' | 'gqa' | `gqa-${number}`;

/**
 * Key-value heads of an attention of `heads` query heads.
 * @throws ArgumentError for a type that is none, or whose key-value heads do not divide the query heads
 */
export function keyValueHeads(type: AttentionType, heads: number): number {
  const fail = (expected: string, got: unknown): never => {
    throw new ArgumentError(`keyValueHeads: ${expected}, got ${String(got)}`);
  };
  if (!Number.isInteger(heads) || heads < 1) fail('heads must be a positive integer', heads);
  if (type === 'mha') return heads;
  if (type === 'mqa') return 1;
  if (type === 'gqa') return heads % 4 === 0 ? heads / 4 : fail("'gqa' takes a multiple of 4 heads", heads);
  const count = Number(
    /^gqa-([1-9]\d*)$/.exec(type)?.[1] ?? fail("attentionType must be 'mha', 'mqa', 'gqa' or 'gqa-N'", `'${type}'`),
  );
  return heads % count === 0 ? count : fail(`'gqa-N' takes an N that divides the ${heads} heads`, `'${type}'`);
}
