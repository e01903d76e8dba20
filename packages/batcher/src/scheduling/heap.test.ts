import fc from 'fast-check';
import { expect, it } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { Heap } from './heap.ts';

it('a heap gives the smallest of what is in it, after any pushes and removals', () => {
  const calls = fc.array(fc.tuple(fc.constantFrom('push', 'pop', 'remove'), fc.nat(1000)), { maxLength: 200 });
  fc.assert(
    fc.property(calls, (list) => {
      const heap = new Heap<{ readonly key: number; readonly order: number }>(
        (a, b) => a.key - b.key || a.order - b.order,
      );
      let model: { readonly key: number; readonly order: number }[] = [];
      for (const [order, [call, key]] of list.entries()) {
        if (call === 'push') {
          const item = { key, order };
          heap.push(item);
          model.push(item);
        } else if (call === 'pop') {
          const item = heap.pop();
          expect(item).toBe([...model].sort((a, b) => a.key - b.key || a.order - b.order)[0]);
          model = model.filter((other) => other !== item);
        } else {
          const item = model[key % Math.max(1, model.length)];
          expect(heap.remove(item ?? { key: 0, order: -1 })).toBe(item !== undefined);
          model = model.filter((other) => other !== item);
        }
        expect(heap.size).toBe(model.length);
        expect(heap.peek()?.key).toBe(model.length ? Math.min(...model.map((item) => item.key)) : undefined);
      }
    }),
    runs(100),
  );
});

it('keeps its order when what fills a gap belongs further up', () => {
  const heap = new Heap<number>((a, b) => a - b);
  // pushed in the order in which the heap holds them: 4 fills the place of 11, below 10
  for (const item of [1, 10, 2, 11, 12, 3, 4]) heap.push(item);
  expect(heap.remove(11)).toBe(true);
  expect(Array.from({ length: heap.size }, () => heap.pop())).toEqual([1, 2, 3, 4, 10, 12]);
});
