import fc from 'fast-check';
import { expect, test } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { isHeddleError } from '../checks/errors.ts';
import { itemSize, safetensorsDTypes } from './safetensors-dtype.ts';
import { openSafetensors } from './safetensors-open.ts';
import { writeSafetensors } from './safetensors-writer.ts';

/** 'opened' or the code of the error; any other failure fails the test. */
async function outcome(bytes: Uint8Array): Promise<string> {
  try {
    const file = await openSafetensors(bytes);
    // What opens must also be readable in full: the header was checked for that.
    for (const name of file.names()) {
      const data = await file.read(name);
      expect(data.byteLength).toBe(file.info(name).byteLength);
    }
    await file.close();
    return 'opened';
  } catch (error) {
    if (isHeddleError(error, 'ERR_SAFETENSORS_HEADER') || isHeddleError(error, 'ERR_SAFETENSORS_TRUNCATED')) {
      return error.code;
    }
    throw error;
  }
}

function withHeader(header: string, dataLength: number): Uint8Array {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.byteLength + dataLength);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.byteLength), true);
  bytes.set(text, 8);
  return bytes;
}

const sample = writeSafetensors(
  {
    weight: { dtype: 'F32', shape: [2, 3], data: new Float32Array(6) },
    half: { dtype: 'F16', shape: [3], data: new Uint16Array(3) },
    'ünïcode "name"': { dtype: 'U8', shape: [2, 0], data: new Uint8Array(0) },
    byte: { dtype: 'I8', shape: [5], data: new Int8Array(5) },
  },
  { format: 'pt' },
);
/** The sample with one byte replaced. */
function withByte(at: number, byte: number): Uint8Array {
  const copy = sample.slice();
  copy[at] = byte;
  return copy;
}
const headerEnd = 8 + Number(new DataView(sample.buffer).getBigUint64(0, true));

test('truncated at every byte', async () => {
  expect(await outcome(sample)).toBe('opened');
  for (let length = 0; length < sample.byteLength; length++) {
    expect(await outcome(sample.subarray(0, length)), `${length} bytes`).toBe('ERR_SAFETENSORS_TRUNCATED');
  }
});

test('every bit flipped: refused or still a valid file, and one in the length or the offsets always refused', async () => {
  const text = new TextDecoder().decode(sample.subarray(8, headerEnd));
  for (let bit = 0; bit < sample.byteLength * 8; bit++) {
    const at = bit >> 3;
    const got = await outcome(withByte(at, sample[at]! ^ (1 << (bit & 7))));
    if (at < 8) expect(got, `bit ${bit}`).not.toBe('opened');
    if (at >= headerEnd) expect(got, `bit ${bit}`).toBe('opened');
  }
  for (const { index } of text.matchAll(/(?<="data_offsets":\[[\d,]*)\d/g)) {
    const at = 8 + new TextEncoder().encode(text.slice(0, index)).byteLength;
    for (const digit of '0123456789') {
      if (sample[at] === digit.charCodeAt(0)) continue;
      expect(await outcome(withByte(at, digit.charCodeAt(0))), `byte ${at} = ${digit}`).not.toBe('opened');
    }
  }
});

test('random bytes, with and without a plausible length', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), fc.boolean(), async (bytes, plausible) => {
      const file = plausible ? withHeader('', bytes.byteLength) : bytes;
      if (plausible) {
        file.set(bytes, 8);
        new DataView(file.buffer).setBigUint64(0, BigInt(bytes.byteLength), true);
      }
      expect(await outcome(file)).not.toBe('opened');
    }),
    runs(2000),
  );
});

test('headers of arbitrary JSON', async () => {
  const field = fc.oneof(fc.jsonValue(), fc.constantFrom('F32', 'U8'), fc.array(fc.integer({ min: -2, max: 9 })));
  const tensor = fc.record({ dtype: field, shape: field, data_offsets: field }, { requiredKeys: [] });
  const header = fc.dictionary(fc.oneof(fc.string(), fc.constant('__metadata__')), fc.oneof(tensor, fc.jsonValue()));
  await fc.assert(
    fc.asyncProperty(header, fc.nat(20), async (value, dataLength) => {
      await outcome(withHeader(JSON.stringify(value), dataLength));
    }),
    runs(1000),
  );
});

test('any placement that is not gapless is refused, and every gapless one opens', async () => {
  const spans = fc.array(fc.tuple(fc.nat(12), fc.nat(6)), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(spans, fc.nat(16), async (placed, dataLength) => {
      const fields = placed.map(
        ([begin, size], i) => `"t${i}":{"dtype":"U8","shape":[${size}],"data_offsets":[${begin},${begin + size}]}`,
      );
      // Independently of the reader: how often each byte is covered, and where empty tensors stand.
      const cover = new Array<number>(32).fill(0);
      for (const [begin, size] of placed) for (let i = begin; i < begin + size; i++) cover[i]!++;
      const once = cover.every((count, i) => count === (i < dataLength ? 1 : 0));
      const edges = new Set([0, ...placed.filter(([, size]) => size > 0).map(([begin, size]) => begin + size)]);
      const gapless = once && placed.every(([begin, size]) => size > 0 || edges.has(begin));
      const got = await outcome(withHeader(`{${fields.join(',')}}`, dataLength));
      expect(got === 'opened', `${got} ${fields}`).toBe(gapless);
    }),
    runs(3000),
  );
});

test('huge and deeply nested headers', async () => {
  const depth = 200_000;
  const nested = '['.repeat(depth) + ']'.repeat(depth);
  for (const header of [
    `{"a":${nested}}`,
    `{"a":{"shape":${nested}}}`,
    `{"a":{"dtype":${nested}}}`,
    nested,
    '['.repeat(depth),
  ]) {
    expect(await outcome(withHeader(header, 0))).toBe('ERR_SAFETENSORS_HEADER');
  }
  const many = Array.from(
    { length: 50_000 },
    (_, i) => `"t${i}":{"dtype":"U8","shape":[1],"data_offsets":[${i},${i + 1}]}`,
  );
  expect(await outcome(withHeader(`{${many.join(',')}}`, 50_000))).toBe('opened');
  // A length within the bound that the file does not have must not be allocated: the source would be asked for it.
  let largest = 0;
  const prefix = new Uint8Array(8);
  new DataView(prefix.buffer).setBigUint64(0, 99_999_999n, true);
  const source = {
    byteLength: 1000,
    read: async (offset: number, length: number) => {
      largest = Math.max(largest, length);
      return prefix.slice(offset, offset + length);
    },
  };
  await expect(openSafetensors(source)).rejects.toMatchObject({ code: 'ERR_SAFETENSORS_TRUNCATED' });
  expect(largest).toBe(8);
});

test('whatever is written reads back the same', async () => {
  const tensor = fc
    .tuple(fc.constantFrom(...safetensorsDTypes), fc.array(fc.nat(3), { maxLength: 4 }))
    .chain(([dtype, sizes]) => {
      const shape = itemSize(dtype) < 1 ? [...sizes, 4] : sizes; // whole bytes
      const length = shape.reduce((product, size) => product * size, itemSize(dtype));
      return fc
        .uint8Array({ minLength: length, maxLength: length })
        .map((bytes) => ({ dtype, shape, data: new Uint8Array(bytes) }));
    });
  const name = fc
    .oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('__proto__', 'constructor', '0', ''))
    .filter((text) => text !== '__metadata__');
  const pairs = fc.uniqueArray(fc.tuple(name, tensor), { selector: ([key]) => key, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(pairs, fc.dictionary(fc.string(), fc.string()), async (tensors, metadata) => {
      const bytes = writeSafetensors(tensors, metadata);
      const file = await openSafetensors(bytes);
      expect(file.names().sort()).toEqual(tensors.map(([key]) => key).sort());
      expect([...file.metadata].sort()).toEqual(Object.entries(metadata).sort());
      for (const [key, { dtype, shape, data }] of tensors) {
        expect(file.info(key)).toEqual({ dtype, shape, byteLength: data.byteLength });
        expect(await file.read(key)).toEqual(data);
      }
    }),
    runs(300),
  );
});
