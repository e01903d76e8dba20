import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { runs } from '../../../test-support/properties.ts';
import {
  addDims,
  type Dim,
  dimsEqual,
  divideDims,
  evaluateDim,
  multiplyDims,
  type SymbolValues,
  subtractDims,
  symbolicDim,
  symbolsOf,
} from './dim.ts';

const bound = 64;
const names = ['B', 'L', 'T', 'TT'] as const; // one is the beginning of another
const symbol = fc.constantFrom(...names).map((name): Dim => symbolicDim(name, bound));
const constant = fc.integer({ min: -6, max: 6 });

/** A size made by a few operations, and the same arithmetic on numbers. */
interface Expression {
  readonly dim: Dim;
  readonly at: (values: SymbolValues) => number;
}
const leaf: fc.Arbitrary<Expression> = fc.oneof(
  constant.map((value) => ({ dim: value, at: () => value })),
  fc.constantFrom(...names).map((name) => ({ dim: symbolicDim(name, bound), at: (v: SymbolValues) => v[name]! })),
);
const { expression } = fc.letrec<{ expression: Expression }>((tie) => ({
  expression: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc
      .tuple(fc.constantFrom('add', 'subtract', 'multiply'), tie('expression'), tie('expression'))
      .map(([operation, a, b]): Expression => {
        if (operation === 'add') return { dim: addDims(a.dim, b.dim), at: (v) => a.at(v) + b.at(v) };
        if (operation === 'subtract') return { dim: subtractDims(a.dim, b.dim), at: (v) => a.at(v) - b.at(v) };
        return { dim: multiplyDims(a.dim, b.dim), at: (v) => a.at(v) * b.at(v) };
      }),
  ),
}));
const size = fc.integer({ min: 0, max: bound });
const values = fc.record({ B: size, L: size, T: size, TT: size });
/** Two polynomials of this size that agree on all of these are the same. */
const grid: SymbolValues[] = [2, 3, 5, 7, 11].flatMap((B) =>
  [13, 17, 19, 23].flatMap((L) => [1, 29].map((T) => ({ B, L, T, TT: 31 + B * L }))),
);

describe('sizes', () => {
  test('evaluate to what the same arithmetic on numbers gives', () => {
    fc.assert(
      fc.property(expression, values, ({ dim, at }, v) => {
        expect(evaluateDim(dim, v)).toBe(at(v) + 0); // no -0
      }),
      runs(100),
    );
  });

  test('are numbers where no name is left', () => {
    fc.assert(
      fc.property(expression, ({ dim }) => {
        expect(subtractDims(dim, dim)).toBe(0);
        expect(multiplyDims(dim, 0)).toBe(0);
        if (symbolsOf(dim).length === 0) expect(typeof dim).toBe('number');
      }),
      runs(100),
    );
  });

  test('are equal exactly where they agree for every value', () => {
    fc.assert(
      fc.property(expression, expression, (a, b) => {
        const agree = grid.every((v) => a.at(v) === b.at(v));
        expect(dimsEqual(a.dim, b.dim)).toBe(agree);
        if (typeof a.dim !== 'number' && typeof b.dim !== 'number') expect(a.dim.key === b.dim.key).toBe(agree);
      }),
      runs(100),
    );
  });

  test('obey the laws of a ring', () => {
    const same = (a: Dim, b: Dim) => expect(dimsEqual(a, b), `${a} and ${b}`).toBe(true);
    fc.assert(
      fc.property(expression, expression, expression, ({ dim: a }, { dim: b }, { dim: c }) => {
        same(addDims(a, b), addDims(b, a));
        same(multiplyDims(a, b), multiplyDims(b, a));
        same(addDims(addDims(a, b), c), addDims(a, addDims(b, c)));
        same(multiplyDims(multiplyDims(a, b), c), multiplyDims(a, multiplyDims(b, c)));
        same(multiplyDims(a, addDims(b, c)), addDims(multiplyDims(a, b), multiplyDims(a, c)));
        same(subtractDims(addDims(a, b), b), a);
        same(addDims(a, 0), a);
        same(multiplyDims(a, 1), a);
      }),
      runs(100),
    );
  });

  test('divide back by a product that they were multiplied with', () => {
    const product = fc
      .tuple(fc.array(symbol, { maxLength: 2 }), constant)
      .filter(([, factor]) => factor !== 0)
      .map(([symbols, factor]) => symbols.reduce(multiplyDims, factor as Dim));
    fc.assert(
      fc.property(expression, product, ({ dim }, divisor) => {
        const quotient = divideDims(multiplyDims(dim, divisor), divisor);
        // 0 stands for itself alone where the divisor has a name: 0 / T is left open
        if (dim === 0 && typeof divisor !== 'number') return;
        expect(quotient, `${dim} * ${divisor} / ${divisor}`).toBeDefined();
        expect(dimsEqual(quotient!, dim)).toBe(true);
      }),
      runs(100),
    );
  });

  test('a quotient times its divisor is the dividend; what does not divide has none', () => {
    fc.assert(
      fc.property(expression, expression, ({ dim: a }, { dim: b }) => {
        const quotient = divideDims(a, b);
        if (quotient !== undefined) expect(dimsEqual(multiplyDims(quotient, b), a)).toBe(true);
      }),
      runs(100),
    );
    const [B, T] = [symbolicDim('B', 8), symbolicDim('T', 8)];
    expect(divideDims(7, 2)).toBeUndefined();
    expect(divideDims(7, 0)).toBeUndefined();
    expect(divideDims(T, 0)).toBeUndefined();
    expect(divideDims(T, 2)).toBeUndefined();
    expect(divideDims(T, B)).toBeUndefined();
    expect(divideDims(addDims(T, 1), T)).toBeUndefined();
    expect(divideDims(multiplyDims(T, B), addDims(T, 1))).toBeUndefined();
    expect(divideDims(addDims(T, 1), addDims(1, T))).toBe(1);
  });

  test('read like products and sums', () => {
    const [B, T] = [symbolicDim('B', 8), symbolicDim('T', 8)];
    expect(String(addDims(multiplyDims(multiplyDims(T, 2), B), 1))).toBe('2*B*T+1');
    expect(String(multiplyDims(T, T))).toBe('T*T');
    expect(JSON.stringify([T, subtractDims(T, 3)])).toBe('["T","T+-3"]');
  });

  test('know the names that they depend on, with their bounds', () => {
    const [B, T] = [symbolicDim('B', 8), symbolicDim('T', 512)];
    expect(symbolsOf(4)).toEqual([]);
    expect(new Set(symbolsOf(addDims(multiplyDims(B, 2), T)).map((s) => `${s.name}<=${s.bound}`))).toEqual(
      new Set(['B<=8', 'T<=512']),
    );
    expect(symbolsOf(addDims(subtractDims(T, T), B)).map((s) => s.name)).toEqual(['B']);
  });

  test('refuse names and bounds that are none, and values that are missing', () => {
    for (const name of ['', '1T', 'a b', 'a-b', 'T*2'])
      expect(() => symbolicDim(name, 4)).toThrow(/no name for a dimension/);
    for (const bad of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => symbolicDim('T', bad)).toThrow(/bound of T must be a positive integer/);
    expect(() => evaluateDim(addDims(symbolicDim('T', 4), symbolicDim('B', 4)), { T: 1 })).toThrow(
      /dimension B of B\+T has no value/,
    );
  });
});
