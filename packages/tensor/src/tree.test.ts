import { expect, test } from 'vitest';
import { mapTree } from './tree.ts';

test('mapTree replaces leaves in order, with their places', () => {
  const places: string[] = [];
  const doubled = mapTree({ a: 1, b: [2, { c: 3 }] }, (leaf, path) => {
    places.push(path);
    return (leaf as number) * 2;
  });
  expect(doubled).toEqual({ a: 2, b: [4, { c: 6 }] });
  expect(places).toEqual(['a', 'b[0]', 'b[1].c']);
});

test('mapTree takes plain objects that isLeaf names as leaves', () => {
  const isLeaf = (value: unknown) => typeof value === 'object' && value !== null && 'leaf' in value;
  expect(mapTree([{ leaf: 1 }, { other: { leaf: 2 } }], () => 'replaced', isLeaf)).toEqual([
    'replaced',
    { other: 'replaced' },
  ]);
});

test('mapTree refuses what is no function, by the name of the argument', () => {
  expect(() => mapTree([1], undefined as never)).toThrow('mapTree: replace must be a function, got undefined');
  expect(() => mapTree([1], (leaf) => leaf, [2] as never)).toThrow(/^mapTree: isLeaf must be a function, got /);
});
