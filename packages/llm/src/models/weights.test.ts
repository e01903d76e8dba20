import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '@heddle/tensor';
import { quantize } from '@heddle/tensor/quantized';
import { openReference } from '@heddle/tensor/reference';
import { openSafetensors, writeSafetensors } from '@heddle/tensor/safetensors';
import { expect, test } from 'vitest';
import { Weights } from './weights.ts';

test('matrices of any float type become the blocks of their values', async () => {
  const shape = [2, 256];
  const values = Float32Array.from({ length: 512 }, (_, i) => 0.02 * Math.sin(i * i));
  const [f16, bf16] = [f32ToF16(values), f32ToBf16(values)];
  const bytes = writeSafetensors([
    ['f32', { dtype: 'F32', shape, data: values }],
    ['f16', { dtype: 'F16', shape, data: f16 }],
    ['bf16', { dtype: 'BF16', shape, data: bf16 }],
  ]);
  const expected = { f32: values, f16: f16ToF32(f16), bf16: bf16ToF32(bf16) };
  await using device = await openReference();
  const file = await openSafetensors(bytes);
  const shapes = new Map(Object.keys(expected).map((name) => [name, shape]));
  for (const dtype of ['q8_0', 'q4_0', 'q4_k', 'q6_k'] as const) {
    const weights = await Weights.load(device, file, shapes, { dtype, frozen: true });
    for (const [name, floats] of Object.entries(expected))
      expect(await device.executor.read(weights.get(name).storage!)).toEqual(quantize(floats, dtype));
    weights.dispose();
  }
});
