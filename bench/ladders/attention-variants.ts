/** A way to compute the same. */
export type Variant = Readonly<Record<string, unknown>>;

const each = (...variants: readonly Variant[]): readonly Variant[] => variants;
const wide = { down: 2, subgroups: 4, keys: 32 };
const pairs = { down: 2, subgroups: 4, across: 2, keys: 32 };
const thin = { down: 1, subgroups: 8, across: 2, keys: 32 };

export function forwardVariants(D: number, small: boolean): readonly Variant[] {
  if (small)
    return each({ down: 1, subgroups: 2, keys: 16 }, { down: 1, subgroups: 2, across: 2, keys: 16, stay: true });
  const more: readonly Variant[] =
    D <= 64
      ? [
          { ...wide, stay: true, subgroups: 2 },
          { ...pairs, stay: true },
          { ...pairs, padding: 8 },
          { ...pairs, keys: 64 },
          { ...thin, stay: true },
          { ...thin, keys: 64 },
          { down: 2, subgroups: 8, across: 4, keys: 64 },
          { down: 1, subgroups: 4, keys: 32, stay: true },
          { down: 1, subgroups: 4, across: 2, keys: 64 },
        ]
      : [{ down: 1, subgroups: 16, across: 2, keys: 32 }];
  return [
    wide,
    pairs,
    { ...pairs, subgroups: 8 },
    thin,
    { ...thin, early: true },
    { ...thin, padding: 8 },
    { ...thin, subgroups: 4 },
    { down: 1, subgroups: 4, keys: 32 },
    { down: 1, subgroups: 8, keys: 32 },
    ...more,
  ];
}

/** For scores that a function changes. */
export function functionVariants(D: number, small: boolean): readonly Variant[] {
  if (small) return each({ down: 1, subgroups: 2, keys: 16 });
  const subgroups = D <= 64 ? 4 : 8;
  return each({ ...pairs, subgroups }, { ...thin, subgroups: 2 * subgroups }, { down: 1, subgroups, keys: 32 });
}

export function gradientVariants(of: 'query' | 'key', D: number, small: boolean): readonly Variant[] {
  if (small) return each({ down: 1, pairs: 1, others: 16, buffers: 2 });
  const thinPairs = { down: 1, pairs: 4, others: 32 };
  return D <= 64
    ? each(
        { ...thinPairs, buffers: 2 },
        { ...thinPairs, buffers: 1 },
        { down: 2, pairs: 2, others: 32, buffers: 2 },
        { down: 2, pairs: 2, others: 16, buffers: 2 },
        { down: 2, pairs: 4, others: 16, buffers: 2 },
      )
    : each(
        { ...thinPairs, buffers: 1 },
        { down: 1, pairs: 2, others: 32, buffers: 1 },
        ...(of === 'query'
          ? [
              { down: 2, pairs: 2, others: 32, buffers: 1 },
              { down: 2, pairs: 4, others: 16, buffers: 1 },
            ]
          : []),
      );
}

export function decodeVariants(small: boolean): readonly Variant[] {
  const shape = { threads: 128, heads: 4, ahead: 4, workgroups: 2048, wide: true };
  if (small) return [shape];
  return each(
    shape,
    { ...shape, wide: false },
    { ...shape, ahead: 2 },
    { ...shape, ahead: 8 },
    { ...shape, heads: 2 },
    { ...shape, threads: 64 },
    { ...shape, threads: 256 },
    { ...shape, workgroups: 1024 },
    { ...shape, workgroups: 4096 },
    { ...shape, workgroups: 8192, ahead: 2 },
  );
}
