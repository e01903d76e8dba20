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
  let state = 1;
  const draw = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state;
  };
  for (let round = 0; round < 100; round++) {
    const heap = new Heap<number>((a, b) => a - b);
    const keys = new Set(Array.from({ length: 60 }, draw));
    for (const key of keys) heap.push(key);
    for (const key of [...keys].filter(() => draw() % 3 === 0)) {
      keys.delete(key);
      expect(heap.remove(key)).toBe(true);
    }
    expect(Array.from({ length: heap.size }, () => heap.pop())).toEqual([...keys].sort((a, b) => a - b));
  }
});
