import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { needShared, needSharedJson } from '../../../../test-support/shared.ts';
import { isHeddleError } from '../checks/errors.ts';
import { bf16ToF32 } from '../float16.ts';
import { openSafetensors } from '../safetensors.ts';
import { type BlockType, blockTypes } from './block-type.ts';
import { decodeBlocks } from './decode.ts';
import { importBlocks } from './import-blocks.ts';

const types = Object.keys(blockTypes) as BlockType[];
const native = ['Q8_0', 'Q4_0', 'MXFP4', 'Q4_K', 'Q5_K', 'Q6_K', 'BF16'];

describe('blocks of GGUF files', () => {
  // the test data has no MXFP4, which quantize.test.ts has by hand
  test.for(types.filter((type) => type !== 'MXFP4'))('%s is read bit for bit', async (type, context) => {
    const file = await openSafetensors(await needShared(context, 'fixtures/gguf/dequantize.safetensors'));
    const sizes = (await needSharedJson(context, 'fixtures/gguf/dequantize.json')) as Record<
      string,
      { readonly block: number; readonly bytes_per_block: number }
    >;
    expect(blockTypes[type]).toEqual({ values: sizes[type]!.block, bytes: sizes[type]!.bytes_per_block });
    const { shape } = file.info(`${type}.values`);
    const bytes = await file.read(`${type}.bytes`);
    const expected = await file.read(`${type}.values`);
    const values = decodeBlocks(type, bytes, shape);
    expect(new Uint32Array(values.buffer)).toEqual(new Uint32Array(expected.buffer));

    const { dtype, data, requantized } = importBlocks(type, bytes, shape);
    expect(requantized === undefined).toBe(native.includes(type));
    if (!requantized) {
      expect(new Uint8Array(data.buffer)).toEqual(bytes);
      return;
    }
    expect([dtype, requantized.note.includes(type)]).toEqual(['q8_0', true]);
    const again = decodeBlocks('Q8_0', data as Uint8Array, shape);
    const off = values.reduce((most, value, i) => Math.max(most, Math.abs(value - again[i]!)), 0);
    expect(off).toBe(requantized.largestError);
    // half a step of 127 in each block, and the rounding of its scale
    for (let block = 0; block < values.length; block += 32) {
      const part = values.subarray(block, block + 32);
      const most = part.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      part.forEach((value, i) => {
        expect(Math.abs(value - again[block + i]!)).toBeLessThanOrEqual(most * (0.5 / 127 + 2 ** -11) + 2 ** -18);
      });
    }
  });

  test('wrong lengths, rows and types are refused by name, whatever the bytes', () => {
    const refused = ['ERR_BLOCKS_LENGTH', 'ERR_BLOCKS_VALUES', 'ERR_SHAPE', 'ERR_ARGUMENT', 'ERR_DTYPE'];
    const size = fc.oneof(
      fc.integer({ min: 0, max: 3 }).map((n) => 256 * n),
      fc.integer({ min: -2, max: 600 }),
      fc.double(),
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...types, 'Q9_X' as BlockType),
        fc.array(size, { maxLength: 3 }),
        fc.uint8Array({ maxLength: 700 }),
        fc.boolean(),
        (type, shape, random, fits) => {
          const block = blockTypes[type] ?? { values: 1, bytes: 1 };
          const count = shape.reduce((a, b) => a * b, 1) / block.values;
          const whole = fits && Number.isSafeInteger(count) && count >= 0 && count < 100;
          const bytes = whole
            ? Uint8Array.from({ length: count * block.bytes }, (_, i) => random[i % 97] ?? i)
            : random;
          try {
            const { data } = importBlocks(type, bytes, shape);
            expect(data.length).toBeGreaterThanOrEqual(0);
            expect(Math.abs(count) * block.bytes).toBe(bytes.length);
          } catch (error) {
            if (!isHeddleError(error)) throw error;
            expect(refused).toContain(error.code);
          }
        },
      ),
      runs(500),
    );
    for (const type of types) {
      const { values, bytes } = blockTypes[type];
      for (const length of [0, bytes - 1, bytes + 1, 2 * bytes])
        expect(() => decodeBlocks(type, new Uint8Array(length), [1, values])).toThrow(
          expect.objectContaining({
            code: 'ERR_BLOCKS_LENGTH',
            message: expect.stringContaining(`takes ${bytes} bytes`),
          }),
        );
    }
  });

  test('blocks of infinite scale are read as they are, and not requantised', () => {
    const bytes = new Uint8Array(20).fill(255);
    bytes.set([0, 0x7c], 0);
    expect(decodeBlocks('Q4_1', bytes, [32]).some(Number.isFinite)).toBe(false);
    expect(() => importBlocks('Q4_1', bytes, [32])).toThrow(expect.objectContaining({ code: 'ERR_BLOCKS_VALUES' }));
  });

  test('what is imported is a copy', () => {
    const bytes = Uint8Array.of(0x80, 0x3f);
    const { data } = importBlocks('BF16', bytes, [1]);
    bytes.fill(0);
    expect([...bf16ToF32(data as Uint16Array)]).toEqual([1]);
  });
});
