import fc from 'fast-check';
import { expect, test } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { BlockPool } from '../blocks/block-pool.ts';
import type { Group } from '../blocks/group.ts';
import { Completeness } from './completeness.ts';
import { TokenNode } from './token-node.ts';

const pool = new BlockPool(1);
const group: fc.Arbitrary<Group> = fc.oneof(
  fc.constant<Group>({ kind: 'all', window: undefined, keepFirst: 0, pool }),
  fc.constant<Group>({ kind: 'state', window: undefined, keepFirst: 0, pool }),
  fc
    .tuple(fc.integer({ min: 1, max: 14 }), fc.nat(9))
    .map(([window, keepFirst]): Group => ({ kind: 'window', window, keepFirst, pool })),
);

/** The columns with a position that the token behind `depth` blocks sees. */
function seen({ kind, window, keepFirst }: Group, depth: number, blockSize: number): number[] {
  if (kind === 'state') return depth === 0 ? [] : [depth - 1];
  const length = depth * blockSize;
  const positions = Array.from({ length }, (_, position) => position).filter(
    (position) => window === undefined || length - position < window || position < keepFirst,
  );
  return [...new Set(positions.map((position) => Math.floor(position / blockSize)))];
}

test('what is needed are the blocks of what the next token sees, and a prefix is as deep as they are there', () => {
  fc.assert(
    fc.property(
      fc.array(group, { minLength: 1, maxLength: 3 }),
      fc.integer({ min: 1, max: 5 }),
      fc.nat(6),
      fc.array(fc.boolean(), { minLength: 24, maxLength: 24 }),
      (groups, blockSize, limit, present) => {
        const completeness = new Completeness(groups, blockSize);
        const has = (column: number, index: number) => present[column * 4 + index]!;
        for (const [index, own] of groups.entries())
          for (let depth = 0; depth <= limit; depth++)
            expect([...completeness.needed(depth, index)]).toEqual(seen(own, depth, blockSize));
        const whole = Array.from({ length: limit + 1 }, (_, depth) => depth).filter((depth) =>
          groups.every((own, index) => seen(own, depth, blockSize).every((column) => has(column, index))),
        );
        expect(completeness.depth(limit, has)).toBe(Math.max(...whole));
      },
    ),
    runs(200),
  );
});

class Leaf extends TokenNode<Leaf> {}

test('children whose keys are the same are told apart by their tokens, whichever comes and goes first', () => {
  const tokens = [0, 1, 2, 3].map((id) => Int32Array.of(id, 9));
  fc.assert(
    fc.property(
      fc.array(fc.nat(3), { maxLength: 24 }),
      fc.array(fc.nat(1), { minLength: 4, maxLength: 4 }),
      (moves, keys) => {
        const root = new Leaf(undefined, new Int32Array(0), 0);
        const there = new Map<number, Leaf>();
        for (const id of moves) {
          const own = there.get(id);
          if (own) {
            root.detach(own);
            there.delete(id);
          } else {
            const leaf = new Leaf(root, tokens[id]!, keys[id]!);
            root.attach(leaf);
            there.set(id, leaf);
          }
          expect(root.childCount).toBe(there.size);
          for (const other of [0, 1, 2, 3]) expect(root.child(keys[other]!, tokens[other]!, 0)).toBe(there.get(other));
          expect(new Set(root.children())).toEqual(new Set(there.values()));
        }
      },
    ),
    runs(200),
  );
});
