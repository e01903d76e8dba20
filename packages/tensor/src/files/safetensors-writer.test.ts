import { expect, test } from 'vitest';
import { f32ToF16 } from '../float16.ts';
import { safetensorsToF32 } from './safetensors-dtype.ts';
import { type SafetensorsEntry, safetensorsChunks, writeSafetensors } from './safetensors-writer.ts';

test('the bytes of a small file', () => {
  const bytes = writeSafetensors({ a: { dtype: 'U8', shape: [2], data: Uint8Array.of(7, 9) } }, { k: 'v' });
  const header = '{"__metadata__":{"k":"v"},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}';
  const padded = header.padEnd(Math.ceil(header.length / 8) * 8);
  expect(new DataView(bytes.buffer).getBigUint64(0, true)).toBe(BigInt(padded.length));
  expect(new TextDecoder().decode(bytes.subarray(8, 8 + padded.length))).toBe(padded);
  expect([...bytes.subarray(8 + padded.length)]).toEqual([7, 9]);
});

test('every tensor starts at a multiple of its element size', () => {
  const bytes = writeSafetensors({
    byte: { dtype: 'BOOL', shape: [3], data: new Uint8Array(3) },
    half: { dtype: 'BF16', shape: [1], data: new Uint16Array(1) },
    word: { dtype: 'F32', shape: [1], data: new Float32Array(1) },
    long: { dtype: 'F64', shape: [1], data: new Float64Array(1) },
  });
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  expect(length % 8).toBe(0);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const begins = Object.fromEntries(
    Object.entries(header).map(([name, t]) => [name, (t as { data_offsets: number[] }).data_offsets[0]]),
  );
  expect(begins).toEqual({ long: 0, word: 8, half: 12, byte: 14 });
});

test('refuses what the format cannot hold', () => {
  const good: SafetensorsEntry = { dtype: 'F32', shape: [1], data: new Float32Array(1) };
  const cases: [() => unknown, string][] = [
    [() => writeSafetensors([['__metadata__', good]]), 'ERR_ARGUMENT'],
    [
      () =>
        writeSafetensors([
          ['a', good],
          ['a', good],
        ]),
      'ERR_ARGUMENT',
    ],
    [() => writeSafetensors({ a: { ...good, dtype: 'F31' as never } }), 'ERR_ARGUMENT'],
    [() => writeSafetensors({ a: { ...good, shape: [2] } }), 'ERR_SHAPE'],
    [() => writeSafetensors({ a: { ...good, shape: [-1] } }), 'ERR_SHAPE'],
    [() => writeSafetensors({ a: good }, { k: 1 } as never), 'ERR_ARGUMENT'],
    [() => writeSafetensors({ a: good }, { k: 'x'.repeat(100_000_000) }), 'ERR_ARGUMENT'],
  ];
  for (const [run, code] of cases) expect(run).toThrow(expect.objectContaining({ code }));
});

test('floating-point tensors as float32', () => {
  const bytes = (view: ArrayBufferView<ArrayBuffer>) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  expect([...safetensorsToF32('F32', bytes(Float32Array.of(1.5, -2)))]).toEqual([1.5, -2]);
  expect([...safetensorsToF32('F64', bytes(Float64Array.of(0.1, 3)))]).toEqual([Math.fround(0.1), 3]);
  expect([...safetensorsToF32('F16', bytes(f32ToF16(Float32Array.of(0.5, -4))))]).toEqual([0.5, -4]);
  expect([...safetensorsToF32('BF16', bytes(Uint16Array.of(0x3fc0, 0xff80)))]).toEqual([1.5, Number.NEGATIVE_INFINITY]);
  const e4m3 = [0x00, 0x01, 0x07, 0x08, 0x38, 0xb8, 0x7e, 0x7f];
  expect([...safetensorsToF32('F8_E4M3', Uint8Array.from(e4m3))]).toEqual([
    0,
    2 ** -9,
    7 * 2 ** -9,
    2 ** -6,
    1,
    -1,
    448,
    Number.NaN,
  ]);
  const e5m2 = [0x00, 0x01, 0x03, 0x04, 0x3c, 0xc2, 0x7b, 0x7c, 0x7e];
  expect([...safetensorsToF32('F8_E5M2', Uint8Array.from(e5m2))]).toEqual([
    0,
    2 ** -16,
    3 * 2 ** -16,
    2 ** -14,
    1,
    -3,
    57344,
    Number.POSITIVE_INFINITY,
    Number.NaN,
  ]);
  expect(() => safetensorsToF32('I32', new Uint8Array(4))).toThrow(expect.objectContaining({ code: 'ERR_DTYPE' }));
});

test('pieces are those of the whole file, and tensors are asked for one by one', async () => {
  const tensors = { small: Uint8Array.of(1, 2, 3), large: Float32Array.of(1, 2) };
  const whole = writeSafetensors(
    {
      small: { dtype: 'U8', shape: [3], data: tensors.small },
      large: { dtype: 'F32', shape: [2], data: tensors.large },
    },
    { format: 'pt' },
  );
  const asked: string[] = [];
  const source = (name: keyof typeof tensors) => async () => {
    asked.push(name);
    return tensors[name];
  };
  const pieces: number[] = [];
  const sizes: number[] = [];
  const chunks = safetensorsChunks(
    {
      small: { dtype: 'U8', shape: [3], read: source('small') },
      large: { dtype: 'F32', shape: [2], read: source('large') },
    },
    { format: 'pt' },
  );
  for await (const piece of chunks) {
    expect(asked).toHaveLength(sizes.length);
    pieces.push(...piece);
    sizes.push(piece.byteLength);
  }
  expect(pieces).toEqual([...whole]);
  expect(asked).toEqual(['large', 'small']);
  const short = safetensorsChunks({ a: { dtype: 'F32', shape: [2], read: () => Float32Array.of(1) } });
  await short.next();
  await expect(short.next()).rejects.toThrow(expect.objectContaining({ code: 'ERR_SHAPE' }));
});
