import { expect, test } from 'vitest';
import { type BlockFormat, blockSizes } from '../../../dtype.ts';
import { fromLayout, layoutBytes, toLayout } from './block-layout.ts';

/** Where the scale of a block is; blocks of q4_k and q5_k lie as they are. */
const scaleAt: Readonly<Record<BlockFormat, number | undefined>> = {
  q8_0: 0,
  q4_0: 0,
  mxfp4: 0,
  q6_k: 208,
  q4_k: undefined,
  q5_k: undefined,
};

test.for(Object.keys(scaleAt) as BlockFormat[])('%s: blocks of a group without their scales, then those', (format) => {
  const { values, bytes } = blockSizes[format];
  const count = 11;
  const blocks = Uint8Array.from({ length: count * bytes }, (_, i) => (i * 37 + (i >> 8)) & 255);
  const laid = toLayout(format, blocks);
  const at = scaleAt[format];
  const expected: number[] = [];
  const [together, wide] = format === 'mxfp4' ? [16, 1] : [8, 2];
  if (at === undefined) expected.push(...blocks);
  else
    for (let group = 0; group < 16; group += together) {
      // the last group is completed with zeros
      const several = Array.from({ length: together }, (_, i) => group + i).map((block) =>
        block < count ? [...blocks.subarray(block * bytes, (block + 1) * bytes)] : new Array<number>(bytes).fill(0),
      );
      expected.push(...several.flatMap((block) => block.filter((_, i) => i < at || i >= at + wide)));
      expected.push(...several.flatMap((block) => block.slice(at, at + wide)));
    }
  expect([...laid]).toEqual(expected);
  expect(laid.length).toBe(layoutBytes(format, count * values));
  expect(fromLayout(format, laid.buffer, count * values)).toEqual(blocks);
  // from an odd place in memory
  const odd = new Uint8Array(blocks.length + 1);
  odd.set(blocks, 1);
  expect(toLayout(format, odd.subarray(1))).toEqual(laid);
});
