import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { isHeddleError } from '../checks/errors.ts';
import { openReference } from '../reference.ts';
import { type NpyArray, readNpy, writeNpy } from './npy.ts';
import { npyDTypes, npyItemSize } from './npy-header.ts';
import { npyOfTensor, tensorOfNpy } from './npy-tensor.ts';

/** A file from its parts, as any writer might have put it together. */
function file(header: string, data: ArrayLike<number>, version: readonly [number, number] = [1, 0]): Uint8Array {
  const text = new TextEncoder().encode(header);
  const prefix = version[0] === 1 ? 10 : 12;
  const bytes = new Uint8Array(prefix + text.byteLength + data.length);
  bytes.set([0x93, ...new TextEncoder().encode('NUMPY'), ...version]);
  const view = new DataView(bytes.buffer);
  if (version[0] === 1) view.setUint16(8, text.byteLength, true);
  else view.setUint32(8, text.byteLength, true);
  bytes.set(text, prefix);
  bytes.set(Uint8Array.from(data), prefix + text.byteLength);
  return bytes;
}

const codes = ['ERR_NPY_HEADER', 'ERR_NPY_DTYPE', 'ERR_NPY_TRUNCATED'];

/** 'read' or the code of the error; any other failure fails the test. */
async function outcome(bytes: Uint8Array): Promise<string> {
  try {
    const { shape, data } = await readNpy(bytes);
    expect(data.length).toBe(shape.reduce((a, b) => a * b, 1));
    return 'read';
  } catch (error) {
    if (isHeddleError(error) && codes.includes(error.code)) return error.code;
    throw error;
  }
}

describe('readNpy', () => {
  test('says what another file is', async () => {
    const zip = Uint8Array.of(0x50, 0x4b, 3, 4, 20, 0, 0, 0, 0, 0, 0, 0);
    await expect(readNpy(zip)).rejects.toThrow(/does not start as an .npy file does: it is a zip archive, as .npz/);
  });

  test('reads what NumPy writes', async () => {
    // numpy.save of numpy.array([[1.5, -2], [0.25, 3]], dtype='<f4')
    const text = `${"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }".padEnd(117)}\n`;
    const bytes = file(text, new Uint8Array(Float32Array.of(1.5, -2, 0.25, 3).buffer));
    expect(bytes.byteLength).toBe(144);
    expect(await readNpy(bytes)).toEqual({ dtype: 'f32', shape: [2, 2], data: Float32Array.of(1.5, -2, 0.25, 3) });
    expect(writeNpy({ dtype: 'f32', shape: [2, 2], data: Float32Array.of(1.5, -2, 0.25, 3) })).toEqual(bytes);
  });

  test('reads other byte orders, column-major arrays, scalars and newer versions', async () => {
    const big = file("{'descr': '>i2', 'fortran_order': False, 'shape': (2,)}", [1, 2, 255, 254]);
    expect(await readNpy(big)).toEqual({ dtype: 'i16', shape: [2], data: Int16Array.of(258, -2) });
    const columns = file("{'shape': (2, 3), 'fortran_order': True, 'descr': '|u1'}", [1, 4, 2, 5, 3, 6], [2, 0]);
    expect(await readNpy(columns)).toEqual({ dtype: 'u8', shape: [2, 3], data: Uint8Array.of(1, 2, 3, 4, 5, 6) });
    const scalar = file(`{"descr": "<u2", "fortran_order": False, "shape": ()}`, [7, 0], [3, 0]);
    expect(await readNpy(scalar)).toEqual({ dtype: 'u16', shape: [], data: Uint16Array.of(7) });
    const cube = Uint8Array.from({ length: 24 }, (_, i) => i);
    const fortran = file("{'descr': '|i1', 'fortran_order': True, 'shape': (2, 3, 4)}", cube);
    const { data } = await readNpy(fortran);
    // value [i, j, k] lies at i + 2 j + 6 k
    expect([...(data as Int8Array)]).toEqual(
      Array.from({ length: 24 }, (_, p) => ((p / 12) | 0) + 2 * (((p / 4) | 0) % 3) + 6 * (p % 4)),
    );
  });

  test('refuses what is no such file', async () => {
    const refused: [string, string][] = [
      ["{'descr': '<f4', 'fortran_order': False, 'shape': (1)}", 'ERR_NPY_HEADER'],
      ["{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}", 'ERR_NPY_HEADER'],
      ["{'descr': '<f4', 'shape': (1,)}", 'ERR_NPY_HEADER'],
      ["{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", 'ERR_NPY_HEADER'],
      ["{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", 'ERR_NPY_HEADER'],
      ["{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", 'ERR_NPY_HEADER'],
      ["{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", 'ERR_NPY_DTYPE'],
      ["{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", 'ERR_NPY_DTYPE'],
      ["{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", 'ERR_NPY_DTYPE'],
      ["{'descr': 'f4', 'fortran_order': False, 'shape': (1,)}", 'ERR_NPY_DTYPE'],
      ["{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 'ERR_NPY_TRUNCATED'],
      ["{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9)}", 'ERR_NPY_TRUNCATED'],
      ["{'descr': '<f4', 'fortran_order': False, 'shape': (4503599627370496, 4503599627370496)}", 'ERR_NPY_TRUNCATED'],
      ['', 'ERR_NPY_HEADER'],
    ];
    for (const [header, code] of refused) expect(await outcome(file(header, [0, 0, 0, 0])), header).toBe(code);
    expect(await outcome(file("{'descr': '|u1', 'fortran_order': False, 'shape': ()}", [1], [4, 0]))).toBe(
      'ERR_NPY_HEADER',
    );
  });
});

const array: fc.Arbitrary<NpyArray> = fc
  .tuple(fc.constantFrom(...npyDTypes), fc.array(fc.nat(3), { maxLength: 4 }))
  .chain(([dtype, shape]) => {
    const length = shape.reduce((product, size) => product * size, npyItemSize(dtype));
    return fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => {
      const { buffer } = Uint8Array.from(bytes);
      const arrays = { f64: Float64Array, f32: Float32Array, f16: Uint16Array, i64: BigInt64Array, i32: Int32Array };
      const more = { i16: Int16Array, i8: Int8Array, u64: BigUint64Array, u32: Uint32Array, u16: Uint16Array };
      const data = new { ...arrays, ...more, u8: Uint8Array, bool: Uint8Array }[dtype](buffer);
      return { dtype, shape, data } as NpyArray;
    });
  });

describe('fuzzed files', () => {
  test('whatever is written reads back the same', async () => {
    await fc.assert(
      fc.asyncProperty(array, async (given) => {
        const back = await readNpy(writeNpy(given));
        expect([back.dtype, back.shape]).toEqual([given.dtype, given.shape]);
        expect(new Uint8Array(back.data.buffer)).toEqual(new Uint8Array(given.data.buffer));
      }),
      runs(500),
    );
  });

  const sample = writeNpy({ dtype: 'i32', shape: [2, 3], data: Int32Array.of(1, 2, 3, 4, 5, 6) });

  test('truncated at every byte, and with bytes behind', async () => {
    for (let length = 0; length < sample.byteLength; length++)
      expect(await outcome(sample.subarray(0, length)), `${length} bytes`).toBe('ERR_NPY_TRUNCATED');
    expect(await outcome(Uint8Array.of(...sample, 0))).toBe('ERR_NPY_TRUNCATED');
  });

  test('every bit flipped: refused, or an array of the length that its shape says', async () => {
    for (let bit = 0; bit < sample.byteLength * 8; bit++) {
      const copy = sample.slice();
      copy[bit >> 3]! ^= 1 << (bit & 7);
      const got = await outcome(copy);
      if (bit < 48) expect(got, `bit ${bit}`).toBe('ERR_NPY_HEADER');
      if (bit >> 3 >= 128) expect(got, `bit ${bit}`).toBe('read');
    }
  });

  test('random bytes, alone and behind the right start', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (bytes, started) => {
        const text = String.fromCharCode(...bytes.map((byte) => byte & 0x7f));
        expect(await outcome(started ? file(text, []) : bytes)).not.toBe('read');
      }),
      runs(2000),
    );
  });

  test('headers of pieces of headers', async () => {
    const pieces = [
      "'descr'",
      "'shape'",
      "'fortran_order'",
      ':',
      ',',
      '{',
      '}',
      '(',
      ')',
      '()',
      '(2,)',
      'True',
      "'<f4'",
      ' ',
      '9'.repeat(400),
    ];
    const header = fc.array(fc.constantFrom(...pieces), { maxLength: 14 }).map((parts) => parts.join(''));
    await fc.assert(
      fc.asyncProperty(header, fc.uint8Array({ maxLength: 12 }), async (text, data) => {
        await outcome(file(text, data));
      }),
      runs(3000),
    );
  });

  test('a header that claims gigabytes is refused before anything is allocated', async () => {
    const bytes = file('{}', [], [2, 0]);
    new DataView(bytes.buffer).setUint32(8, 0xffffffff, true);
    expect(await outcome(bytes)).toBe('ERR_NPY_HEADER');
  });
});

describe('tensors', () => {
  test('there and back', async () => {
    const device = await openReference();
    const tensor = device.tensor(
      [
        [1, 2],
        [3, 4],
      ],
      { dtype: 'i32' },
    );
    const read = await readNpy(writeNpy(await npyOfTensor(tensor)));
    expect(await tensorOfNpy(device, read).data()).toEqual(Int32Array.of(1, 2, 3, 4));
    const long: NpyArray = { dtype: 'i64', shape: [2], data: BigInt64Array.of(-5n, 7n) };
    expect(await tensorOfNpy(device, long).data()).toEqual(Int32Array.of(-5, 7));
    const large: NpyArray = { dtype: 'i64', shape: [1], data: BigInt64Array.of(2n ** 31n) };
    expect(() => tensorOfNpy(device, large)).toThrow(/must lie in/);
    await expect(npyOfTensor(device.ones([2]).cast('bf16'))).rejects.toThrow(/no bf16; cast the tensor/);
    await device.dispose();
  });
});
