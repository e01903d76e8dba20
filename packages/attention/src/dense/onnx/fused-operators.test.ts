import { compile, type Device, type DType, f16ToF32, f32ToF16, rmsNorm, type Tensor } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { expect, test } from 'vitest';
import { onnxOnly } from '../../../../../test-support/onnx.ts';
import { decode } from '../../kernels/flash.ts';
import { rotary } from '../../rotary/rotary.ts';
import { attention } from '../attention.ts';
import type { AttentionSpec } from '../attention-spec.ts';

interface Input {
  readonly shape: readonly (number | string)[];
  readonly dtype?: DType;
}

/** The operators of a function's model, each with its number. */
async function operators(
  device: Device,
  f: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Input[],
): Promise<ReadonlyMap<string, number>> {
  const symbols = { B: 4, T: 1024, S: 2048 };
  const step = compile(f, { device, inputs: [...inputs], symbols });
  await step.prepare(symbols);
  const counts = new Map<string, number>();
  for (const [, type] of step.explain().matchAll(/^ {2}\S+: (\w+)\(.*\) -> /gm))
    counts.set(type!, (counts.get(type!) ?? 0) + 1);
  step.dispose();
  return counts;
}

onnxOnly('on ONNX Runtime', (open) => {
  const rows = (T: number | string, heads: number): Input => ({ shape: ['B', T, heads, 64] });
  /** Operators of an attention of 8 heads to 2. */
  const attend = async (L: number | string, S: number | string, spec: (device: Device) => AttentionSpec) => {
    const { device } = await open();
    return operators(device, (q, k, v) => attention(q!, k!, v!, spec(device)), [rows(L, 8), rows(S, 2), rows(S, 2)]);
  };
  const isFused = (found: ReadonlyMap<string, number>, type: string) =>
    // small products say which keys hold what is not finite, and who meets one
    expect([found.get(type), found.get('Softmax'), found.get('FusedMatMul')]).toEqual([1, undefined, undefined]);

  test('RMS norm is one operator, of rows that are scaled so that their squares fit', async () => {
    const { device } = await open();
    const weight = device.tensor(new Float32Array(64).fill(1));
    const found = await operators(device, (x) => rmsNorm(x!, weight), [{ shape: ['T', 64] }]);
    expect([...found]).toEqual([
      ['Mul', 1],
      ['SimplifiedLayerNormalization', 1],
    ]);
  });

  test('rotary embedding is one operator, over places that are brought into the table', async () => {
    const { device } = await open();
    const [cos, sin] = [device.ones([16, 32]), device.zeros([16, 32])];
    const found = await operators(device, (x, at) => rotary(x!, at!, { cos, sin }), [
      { shape: ['T', 8, 64] },
      { shape: ['T'], dtype: 'i32' },
    ]);
    expect(found.get('RotaryEmbedding')).toBe(1);
    expect([found.get('Sin'), found.get('Concat'), found.get('Mul')]).toEqual([undefined, undefined, undefined]);
  });

  test('causal attention of queries to their own keys makes no mask', async () => {
    for (const spec of [{}, { window: 100 }, { softcap: 30 }, { window: 9, softcap: 30, scale: 1 }]) {
      const found = await attend('T', 'T', () => ({ causal: true, ...spec }));
      isFused(found, 'GroupQueryAttention');
      expect(found.get('Range')).toBeUndefined();
    }
    isFused(await attend(512, 512, () => ({ causal: true })), 'GroupQueryAttention');
    isFused(await attend(16, 16, (device) => ({ causal: true, sinks: device.zeros([8]) })), 'GroupQueryAttention');
  });

  test('and gives what the reference gives, whatever the sizes of the run are', async () => {
    const { device } = await open();
    const reference = await openReference();
    const shapes = [
      { H: 4, K: 2, D: 16, run: { B: 2, T: 33 } },
      { H: 3, K: 1, D: 8, run: { B: 1, T: 1 } },
      { H: 2, K: 2, D: 256, run: { B: 3, T: 5 } },
      { H: 4, K: 4, D: 32, run: { B: 2, T: 0 } },
    ];
    const specs = [{}, { window: 7 }, { softcap: 0.5 }, { window: 3, softcap: 2, scale: 1.5 }];
    for (const { H, K, D, run } of shapes)
      for (const [i, spec] of specs.entries())
        for (const dtype of ['f32', 'f16'] as const) {
          const each = <T>(make: (heads: number, salt: number) => T): [T, T, T] => [make(H, 0), make(K, 1), make(K, 2)];
          const sinks = Float32Array.from({ length: H }, (_, h) => Math.sin(5 * h));
          const make = (on: Device) => {
            const extra = i % 2 === 1 ? { sinks: on.tensor(sinks) } : {};
            return compile(
              (q: Tensor, k: Tensor, v: Tensor) => attention(q, k, v, { causal: true, ...spec, ...extra }),
              {
                device: on,
                inputs: each((heads) => ({ shape: ['B', 'T', heads, D], dtype })),
                symbols: { B: 4, T: 64 },
              },
            );
          };
          const fed = each((heads, salt) => {
            const shape = [run.B, run.T, heads, D];
            const length = shape.reduce((a, b) => a * b);
            const data = Float32Array.from({ length }, (_, j) => 2 * Math.sin(j * 12.9898 + salt));
            return { data: dtype === 'f16' ? f32ToF16(data) : data, shape };
          });
          const numbers = async (on: Device) => {
            const step = make(on);
            const data = await (await step(...fed)).data();
            if (on === device && run.T > 0) expect(step.explain()).toContain('GroupQueryAttention(');
            step.dispose();
            return dtype === 'f16' ? f16ToF32(data as Uint16Array) : (data as Float32Array);
          };
          const [own, expected] = [await numbers(device), await numbers(reference)];
          expect(own.length).toBe(expected.length);
          const off = own.reduce((most, value, j) => Math.max(most, Math.abs(value - expected[j]!)), 0);
          expect(off, JSON.stringify({ H, K, D, run, spec, dtype })).toBeLessThan(dtype === 'f16' ? 4e-3 : 2e-5);
        }
    await reference.dispose();
  });

  test('other attention has what is masked and added in one tensor', async () => {
    isFused(await attend(16, 16, () => ({ causal: true })), 'Attention');
    isFused(await attend('T', 'S', () => ({})), 'Attention');
    isFused(await attend('T', 'S', () => ({ causal: true, window: 9, keepFirst: 4 })), 'Attention');
    isFused(await attend('T', 'T', () => ({ causal: true, alibi: true })), 'Attention');
    isFused(await attend('T', 'T', () => ({ window: 5 })), 'Attention');
  });

  test('what neither operator knows is decomposed', async () => {
    for (const spec of [(device: Device) => ({ sinks: device.zeros([8]) }), () => ({ softcap: 30 })]) {
      const found = await attend('T', 'S', spec);
      expect([found.get('Attention'), found.get('GroupQueryAttention')]).toEqual([undefined, undefined]);
    }
  });

  /** Operators of T rows of 8 heads to 2 over a cache of B sequences. */
  const attendPages = async (T: number | string, B: number | string) => {
    const { device } = await open();
    const pool = { shape: [64, 2, 64] };
    return operators(
      device,
      (q, k, v, segments, positions, keys, values, blockTable, lengths) =>
        decode().attend(
          q!,
          k!,
          v!,
          { keys: keys!, values: values!, blockTable: blockTable!, lengths: lengths!, blockSize: 16, maxLength: 64 },
          { segments: segments!, positions: positions! },
        ),
      [
        { shape: [T, 8, 64] },
        { shape: [T, 2, 64] },
        { shape: [T, 2, 64] },
        { shape: [T], dtype: 'i32' },
        { shape: [T], dtype: 'i32' },
        pool,
        pool,
        { shape: [B, 4], dtype: 'i32' },
        { shape: [B], dtype: 'i32' },
      ],
    );
  };

  test('packed rows over a cache are one operator', async () => {
    isFused(await attendPages('T', 'B'), 'Attention');
    isFused(await attendPages(4, 4), 'Attention');
  });

  test('one row over the cache of one sequence is products with the cached rows as they are gathered', async () => {
    const found = await attendPages(1, 1);
    expect([found.get('Attention'), found.get('FusedMatMul'), found.get('Softmax')]).toEqual([undefined, 3, 1]);
    expect([found.get('Transpose'), found.get('CumSum')]).toEqual([undefined, undefined]);
  });
});
