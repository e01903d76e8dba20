import { expect, test } from 'vitest';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../float16.ts';
import { type SafetensorsDType, safetensorsTo } from './safetensors-dtype.ts';

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
  for (const dtype of ['I32', 'U8', 'BOOL'] satisfies SafetensorsDType[])
    expect(() => safetensorsTo('bf16', dtype, new Uint8Array(4))).toThrow(
      expect.objectContaining({ code: 'ERR_DTYPE' }),
    );
});
