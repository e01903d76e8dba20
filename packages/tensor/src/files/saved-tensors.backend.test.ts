import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import type { Tensor } from '../graph/tensor.ts';
import { Variable } from '../graph/variable.ts';
import { quantize } from '../quantized.ts';
import { loadTensors, tensorsToBlob } from '../safetensors.ts';

conformance('saved tensors', (device) => {
  test('of every dtype come back, under their paths', async () => {
    const d = device();
    const ramp = Float32Array.from({ length: 64 }, (_, i) => i / 8 - 4);
    const tree = {
      blocks: [
        {
          w: d.variable(
            [
              [1, 2.5],
              [-3, 0],
            ],
            { name: 'first' },
          ),
          b: d.tensor([1, -1], { dtype: 'f16' }),
        },
      ],
      'a.dotted': d.tensor([1.5, -2], { dtype: 'bf16' }),
      whole: d.tensor([-5, 7], { dtype: 'i32' }),
      large: d.tensor(Uint32Array.of(2 ** 32 - 1)),
      flags: d.tensor([true, false, true]),
      empty: d.zeros([0, 3]),
      scalar: d.tensor(3),
      packed: d.variable(quantize(ramp, 'q8_0'), { shape: [2, 32], dtype: 'q8_0', frozen: true }),
    };
    const blob = await tensorsToBlob(tree, { metadata: { note: 'of a test' } });
    const flat = await loadTensors(d, blob);
    expect(Object.keys(flat).sort()).toEqual(
      ['a.dotted', 'blocks.0.b', 'blocks.0.w', 'empty', 'flags', 'large', 'packed', 'scalar', 'whole'].sort(),
    );
    const originals: Record<string, Tensor> = { 'blocks.0.w': tree.blocks[0]!.w, 'blocks.0.b': tree.blocks[0]!.b };
    for (const [name, original] of Object.entries({ ...tree, ...originals })) {
      if (name === 'blocks') continue;
      const like = original as Tensor;
      const loaded = flat[name]!;
      expect([name, loaded.dtype, loaded.shape, await loaded.data()]).toEqual([
        name,
        like.dtype,
        like.shape,
        await like.data(),
      ]);
      loaded.dispose();
    }
    const again = await loadTensors(d, blob, { like: tree });
    expect(again.blocks[0]!.w).toBeInstanceOf(Variable);
    expect([again.blocks[0]!.w.name, again.packed.frozen, await again.blocks[0]!.w.toArray()]).toEqual([
      'first',
      true,
      [
        [1, 2.5],
        [-3, 0],
      ],
    ]);
    const half = await loadTensors(d, await tensorsToBlob({ w: tree.blocks[0]!.w }), { dtype: 'f16' });
    expect([half.w!.dtype, await half.w!.data('f32')]).toEqual(['f16', Float32Array.of(1, 2.5, -3, 0)]);
  });
});
