import { expect, test } from 'vitest';
import { type BlockFormat, blockSizes } from '../../../dtype.ts';
import { fromLayout, layoutBytes, toLayout } from './block-layout.ts';

/** Where the scale of a block is; a block of q4_k lies as it is. */
const scaleAt: Readonly<Record<BlockFormat, number | undefined>> = { q8_0: 0, q4_0: 0, q6_k: 208, q4_k: undefined };

test.for(Object.keys(scaleAt) as BlockFormat[])('%s: eight blocks without their scales, then those', (format) => {
  const { values, bytes } = blockSizes[format];
  const count = 11;
  const blocks = Uint8Array.from({ length: count * bytes }, (_, i) => (i * 37 + (i >> 8)) & 255);
  const laid = toLayout(format, blocks);
  const at = scaleAt[format];
  const expected: number[] = [];
  if (at === undefined) expected.push(...blocks);
  else
    for (let group = 0; group < 16; group += 8) {
      // the last group is completed with zeros
      const eight = Array.from({ length: 8 }, (_, i) => group + i).map((block) =>
        block < count ? [...blocks.subarray(block * bytes, (block + 1) * bytes)] : new Array<number>(bytes).fill(0),
      );
      expected.push(...eight.flatMap((block) => block.filter((_, i) => i !== at && i !== at + 1)));
      expected.push(...eight.flatMap((block) => block.slice(at, at + 2)));
    }
  expect([...laid]).toEqual(expected);
  expect(laid.length).toBe(layoutBytes(format, count * values));
  expect(fromLayout(format, laid.buffer, count * values)).toEqual(blocks);
  // from an odd place in memory
  const odd = new Uint8Array(blocks.length + 1);
  odd.set(blocks, 1);
  expect(toLayout(format, odd.subarray(1))).toEqual(laid);
});
