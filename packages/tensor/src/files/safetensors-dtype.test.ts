import { expect, test } from 'vitest';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../float16.ts';
import { type SafetensorsDType, safetensorsTo, safetensorsToF32 } from './safetensors-dtype.ts';
import { openSafetensors } from './safetensors-open.ts';
import { writeSafetensors } from './safetensors-writer.ts';

const values = Float32Array.of(1, -2.5, 0.1, 3e4);
const bytesOf = ({ buffer }: Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>) => new Uint8Array(buffer);
const files = {
  F32: bytesOf(values.slice()),
  F16: bytesOf(f32ToF16(values)),
  BF16: bytesOf(f32ToBf16(values)),
} as const;
const read = { F32: values, F16: f16ToF32(f32ToF16(values)), BF16: bf16ToF32(f32ToBf16(values)) } as const;

test.each(['F32', 'F16', 'BF16'] as const)('%s becomes each type that devices take', (dtype) => {
  const bytes = files[dtype];
  expect(safetensorsTo('f32', dtype, bytes)).toEqual(read[dtype]);
  expect(safetensorsTo('f16', dtype, bytes)).toEqual(f32ToF16(read[dtype]));
  expect(safetensorsTo('bf16', dtype, bytes)).toEqual(f32ToBf16(read[dtype]));
  const own = ({ F32: 'f32', F16: 'f16', BF16: 'bf16' } as const)[dtype];
  expect(safetensorsTo(own, dtype, bytes).buffer).toBe(bytes.buffer);
});

test('integers are refused', () => {
  for (const dtype of ['I32', 'U8', 'BOOL', 'C64', 'F4'] satisfies SafetensorsDType[])
    expect(() => safetensorsTo('bf16', dtype, new Uint8Array(4))).toThrow(
      expect.objectContaining({ code: 'ERR_DTYPE' }),
    );
});

test('formats of 8 bits have the values that their papers give', () => {
  const of = (dtype: SafetensorsDType, ...bits: number[]) => [...safetensorsToF32(dtype, Uint8Array.from(bits))];
  expect(of('F8_E4M3', 0, 1, 7, 8, 0x38, 0xb8, 0x81, 0x7e, 0x7f)).toEqual([
    0,
    2 ** -9,
    7 * 2 ** -9,
    2 ** -6,
    1,
    -1,
    -(2 ** -9),
    448,
    Number.NaN,
  ]);
  expect(of('F8_E8M0', 0, 127, 128, 254, 255)).toEqual([2 ** -127, 1, 2, 2 ** 127, Number.NaN]);
  expect(of('F8_E4M3FNUZ', 0, 1, 7, 8, 0x40, 0xc0, 0x7f, 0x80)).toEqual([
    0,
    2 ** -10,
    7 * 2 ** -10,
    2 ** -7,
    1,
    -1,
    240,
    Number.NaN,
  ]);
  expect(of('F8_E5M2FNUZ', 0, 1, 3, 4, 0x40, 0xc0, 0x7f, 0x80)).toEqual([
    0,
    2 ** -17,
    3 * 2 ** -17,
    2 ** -15,
    1,
    -1,
    57344,
    Number.NaN,
  ]);
});

test('formats below 8 bits take whole bytes, and are read as they lie', async () => {
  const packed = { dtype: 'F4', shape: [2, 3], data: Uint8Array.of(1, 2, 3) } as const;
  const six = { dtype: 'F6_E2M3', shape: [4], data: Uint8Array.of(4, 5, 6) } as const;
  const file = await openSafetensors(writeSafetensors({ packed, six }));
  expect([await file.read('packed'), await file.read('six')]).toEqual([packed.data, six.data]);
  expect(() => writeSafetensors({ odd: { ...packed, shape: [5] } })).toThrow(/F4 of shape \[5\] takes 2.5 bytes/);
  await file.close();
});
