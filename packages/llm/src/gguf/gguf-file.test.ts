import { type Device, isHeddleError } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { openSafetensors } from '@heddle/tensor/safetensors';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type GgufTensorEntry, writeGguf } from '../../../../test-support/gguf-writer.ts';
import { needShared } from '../../../../test-support/shared.ts';
import { tinyGguf } from '../../../../test-support/tiny-gguf.ts';
import { loadModel } from '../index.ts';
import { openGguf } from './gguf-file.ts';
import { ggufWeights } from './gguf-weights.ts';

const numbers = {
  Q4_0: 2,
  Q4_1: 3,
  Q5_0: 6,
  Q5_1: 7,
  Q8_0: 8,
  Q2_K: 10,
  Q3_K: 11,
  Q4_K: 12,
  Q5_K: 13,
  Q6_K: 14,
  IQ4_NL: 20,
  IQ4_XS: 23,
  BF16: 30,
} as const;
const nearest = {
  Q4_0: 'q4_0',
  Q4_1: 'q5_k',
  Q5_0: 'q5_k',
  Q5_1: 'q5_k',
  Q8_0: 'q8_0',
  Q2_K: 'q4_k',
  Q3_K: 'q4_k',
  Q4_K: 'q4_k',
  Q5_K: 'q5_k',
  Q6_K: 'q6_k',
  IQ4_NL: 'q4_k',
  IQ4_XS: 'q4_k',
  BF16: 'f16',
} as const;

test.for(Object.keys(numbers) as (keyof typeof numbers)[])(
  '%s: the values of ggml, and the type that it becomes',
  async (type, context) => {
    const fixture = await openSafetensors(await needShared(context, 'fixtures/gguf/dequantize.safetensors'));
    const bytes = await fixture.read(`${type}.bytes`);
    const values = new Float32Array((await fixture.read(`${type}.values`)).buffer);
    const { shape } = fixture.info(`${type}.values`);
    const file = await openGguf(writeGguf({}, { x: { type: numbers[type], shape, bytes } }));
    const weights = ggufWeights(file, new Map([['ours', { parts: [{ name: 'x' }] }]]), new Map());
    expect(weights.info('ours').shape).toEqual(shape);
    expect((await weights.read({ stored: ['ours'], shape: [] }, 'f32')).data).toEqual(values);
    const kept = await weights.read({ stored: ['ours'], shape: [] }, undefined);
    const native = type === 'Q4_0' || type === 'Q8_0' || type === 'Q4_K' || type === 'Q5_K' || type === 'Q6_K';
    expect(kept.dtype).toBe(nearest[type]);
    if (native) expect(kept.data).toEqual(bytes);
    expect(kept.note).toBe(native ? undefined : `${type} is stored as ${nearest[type]}`);
    const part = await weights.readInParts({ stored: ['ours'], shape: [] }, undefined, 1);
    if (shape.length < 2) expect(part).toBeUndefined();
    else {
      const pieces: number[] = [];
      for await (const values of part!.parts) pieces.push(...values);
      expect({ dtype: part!.dtype, note: part!.note, pieces }).toEqual({
        dtype: kept.dtype,
        note: kept.note,
        pieces: [...kept.data],
      });
    }
    await weights.close();
  },
);

const files = (bytes: Uint8Array<ArrayBuffer>) => ({
  label: 'tiny',
  open: (name: string) => (name === 'model.gguf' ? bytes : undefined),
});
async function failure(
  device: Device,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<(Error & { code: string }) | undefined> {
  try {
    await (await loadModel(files(bytes), { device })).dispose();
    return undefined;
  } catch (error) {
    expect(isHeddleError(error), String(error)).toBe(true);
    return error as Error & { code: string };
  } finally {
    expect(device.memory().live).toBe(0);
  }
}

test('a file that is cut, anywhere, is refused and leaves nothing on the device', async () => {
  await using device = await openReference();
  const whole = tinyGguf();
  expect(await failure(device, whole)).toBeUndefined();
  // a file may end where its last tensor does, without what fills it up
  for (let length = 0; length < whole.length; length += length < 1200 ? 1 : 61)
    expect((await failure(device, whole.slice(0, length)))?.code).toBe('ERR_GGUF_TRUNCATED');
}, 60_000);

test('flipped bits are refused, or are other values', async () => {
  await using device = await openReference();
  const whole = tinyGguf();
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 8 * 1300 - 1 }), async (bit) => {
      const bytes = whole.slice();
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      await failure(device, bytes);
    }),
    { numRuns: 200 },
  );
}, 60_000);

const f32 = (shape: readonly number[], values: readonly number[]): GgufTensorEntry => ({
  type: 0,
  shape,
  bytes: new Uint8Array(Float32Array.from(values).buffer),
});

test('what lies is refused, with what is wrong', async () => {
  await using device = await openReference();
  const patched = (at: number, value: bigint) => {
    const bytes = tinyGguf();
    new DataView(bytes.buffer).setBigUint64(at, value, true);
    return bytes;
  };
  const u32 = (at: number, value: number) => {
    const bytes = tinyGguf();
    new DataView(bytes.buffer).setUint32(at, value, true);
    return bytes;
  };
  const nan = new Uint8Array(34);
  nan.set([0, 0x7e]);
  const cases: [Uint8Array<ArrayBuffer>, string, RegExp][] = [
    [u32(0, 0x46465547), 'ERR_GGUF_HEADER', /begins with "GUFF", a GGUF file with "GGUF"/],
    [u32(4, 1), 'ERR_GGUF_HEADER', /has version 1: versions 2 and 3 are read/],
    [u32(4, 0x03000000), 'ERR_GGUF_HEADER', /is big-endian/],
    [patched(8, 1n << 40n), 'ERR_GGUF_TRUNCATED', /the number of tensors is 1099511627776/],
    [patched(16, 1n << 62n), 'ERR_GGUF_HEADER', /the number of keys is 4611686018427387904/],
    [patched(24, 1n << 33n), 'ERR_GGUF_TRUNCATED', /the length of a key is 8589934592/],
    [tinyGguf({ 'general.alignment': ['u32', 0] }), 'ERR_GGUF_HEADER', /general\.alignment/],
    [
      tinyGguf({ 'general.architecture': ['string', 'mamba'] }),
      'ERR_UNKNOWN_ARCHITECTURE',
      /expected one of llama, mistral3, .*, got mamba/,
    ],
    [tinyGguf({ 'split.count': ['u32', 3] }), 'ERR_FILE_NOT_FOUND', /part 2 of 3 is not beside it/],
    [tinyGguf({ 'llama.block_count': ['u32', 2] }), 'ERR_WEIGHTS', /model\.layers\.1\.\S+ \[8\] is missing|is missing/],
    [
      tinyGguf({ 'llama.block_count': ['string', 'one'] }),
      'ERR_CONFIG',
      /llama\.block_count: expected a number, got "one"/,
    ],
    [tinyGguf({ 'llama.expert_count': ['u32', 8] }), 'ERR_WEIGHTS', /ffn_gate_inp|block_sparse_moe\.gate/],
    [
      tinyGguf({ 'llama.logit_scale': ['f32', 8] }),
      'ERR_CONFIG',
      /llama\.logit_scale: expected none: what it does to a llama is not known/,
    ],
    [tinyGguf({ 'llama.attention.head_count': ['i32s', [2, 1]] }), 'ERR_CONFIG', /the same number for all layers/],
    [
      tinyGguf({ 'llama.rope.scaling.type': ['string', 'su'] }),
      'ERR_CONFIG',
      /expected none, linear or yarn, got "su"/,
    ],
    [tinyGguf({}, { 'token_embd.weight': f32([8, 16], Array(128).fill(1)) }), 'ERR_WEIGHTS', /must be \[/],
    [
      tinyGguf({}, { 'blk.0.attn_q.weight': { type: 16, shape: [8, 8], bytes: new Uint8Array(256) } }),
      'ERR_GGUF_HEADER',
      /is of type IQ2_XXS, which is not read/,
    ],
    [
      tinyGguf({}, { 'blk.0.attn_q.weight': { type: 8, shape: [8, 8], bytes: new Uint8Array(68) } }),
      'ERR_GGUF_HEADER',
      /whole blocks of 32 values, got 8/,
    ],
    [
      tinyGguf(
        { 'llama.embedding_length': ['u32', 32] },
        { 'token_embd.weight': { type: 8, shape: [1, 32], bytes: nan } },
      ),
      'ERR_WEIGHTS',
      /is missing|must be|not finite/,
    ],
  ];
  for (const [bytes, code, message] of cases) {
    const error = await failure(device, bytes);
    expect(error?.message).toMatch(message);
    expect(error?.code, error?.message).toBe(code);
  }
});

test('a scale that is not finite is found before anything is computed with it', async () => {
  const nan = new Uint8Array(34);
  nan.set([0, 0x7e]);
  const file = await openGguf(writeGguf({}, { x: { type: 8, shape: [1, 32], bytes: nan } }), 'x.gguf');
  await expect(ggufWeights(file, new Map(), new Map()).read({ stored: ['x'], shape: [] }, undefined)).rejects.toThrow(
    'weights: x.gguf: x: block 0 has a scale that is not finite',
  );
  await file.close();
  await expect(file.read('x')).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
});

test('rotary divisors of a file are used as they are', async () => {
  await using device = await openReference();
  const logits = async (bytes: Uint8Array<ArrayBuffer>) => {
    await using model = await loadModel(files(bytes), { device });
    const result = await model.logits([[1, 2, 3, 4, 5]]);
    const data = [...((await result.data()) as Float32Array)];
    result.dispose();
    return data;
  };
  const divided = await logits(tinyGguf({}, { 'rope_freqs.weight': f32([2], [2, 2]) }));
  expect(divided).toEqual(
    await logits(
      tinyGguf({ 'llama.rope.scaling.type': ['string', 'linear'], 'llama.rope.scaling.factor': ['f32', 2] }),
    ),
  );
  expect(divided).not.toEqual(await logits(tinyGguf()));
  expect(await logits(tinyGguf({}, { 'rope_freqs.weight': f32([2], [1, 1]) }))).toEqual(await logits(tinyGguf()));
});
