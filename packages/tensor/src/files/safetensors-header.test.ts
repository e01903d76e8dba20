import { describe, expect, test } from 'vitest';
import { isHeddleError } from '../checks/errors.ts';
import { openSafetensors } from './safetensors-open.ts';

/** A file of this header text and that many bytes of data. */
function fileOf(
  header: string,
  dataLength = 0,
  announced = BigInt(new TextEncoder().encode(header).byteLength),
): Uint8Array {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.byteLength + dataLength);
  new DataView(bytes.buffer).setBigUint64(0, announced, true);
  bytes.set(text, 8);
  return bytes;
}

const entry = (begin: number, end: number, shape: readonly unknown[] = [(end - begin) / 4], dtype = 'F32') =>
  JSON.stringify({ dtype, shape, data_offsets: [begin, end] });

const header = 'ERR_SAFETENSORS_HEADER';
const cut = 'ERR_SAFETENSORS_TRUNCATED';

describe('a bad file is refused when it is opened, with what is wrong', () => {
  const cases: [string, Uint8Array, string, RegExp][] = [
    ['no bytes', new Uint8Array(0), cut, /header's length ends at byte 8, the file at 0/],
    ['seven bytes', new Uint8Array(7), cut, /the file at 7/],
    ['header of nothing', fileOf(''), header, /JSON object/],
    [
      'header over the bound',
      fileOf('{}', 0, 100_000_001n),
      header,
      /at most 100000000 bytes, its length field says 100000001/,
    ],
    [
      'a Git LFS pointer',
      new TextEncoder().encode('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n'),
      header,
      /no safetensors file, it is a Git LFS pointer: `git lfs pull`/,
    ],
    [
      'a zip archive',
      Uint8Array.of(0x50, 0x4b, 3, 4, 20, 0, 0, 0, 0, 0),
      header,
      /no safetensors file, it is a zip archive/,
    ],
    ['a GGUF file', Uint8Array.of(0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0, 1, 0), header, /it is a GGUF file/],
    ['an HTML page', new TextEncoder().encode('<!DOCTYPE html><title>404</title>'), header, /it is an HTML page/],
    ['header length of 2^64 - 1', fileOf('{}', 0, 2n ** 64n - 1n), header, /18446744073709551615/],
    ['header past the end', fileOf('{}', 0, 3n), cut, /the header ends at byte 11, the file at 10/],
    ['not JSON', fileOf('{"a": }'), header, /JSON object in UTF-8/],
    ['not UTF-8', fileOf('{}').fill(0xff, 9), header, /UTF-8/],
    ['byte order mark', fileOf('\ufeff{}'), header, /JSON object/],
    ['space before', fileOf(' {}'), header, /JSON object/],
    ['a list', fileOf('[]'), header, /JSON object, got \[\]/],
    ['null', fileOf('null'), header, /JSON object, got null/],
    ['metadata of numbers', fileOf('{"__metadata__":{"a":1}}'), header, /__metadata__ "a" must be a string, got 1/],
    ['metadata a list', fileOf('{"__metadata__":[]}'), header, /object of strings/],
    ['entry a number', fileOf('{"a":1}'), header, /tensor "a" must be \{ dtype, shape, data_offsets \}, got 1/],
    ['unknown dtype', fileOf(`{"a":${entry(0, 4, [1], 'F31')}}`, 4), header, /must be one of F64, F32, .*, got "F31"/],
    ['dtype of the prototype', fileOf(`{"a":${entry(0, 4, [1], 'toString')}}`, 4), header, /dtype/],
    ['no dtype', fileOf('{"a":{"shape":[1],"data_offsets":[0,4]}}', 4), header, /dtype .* got nothing/],
    ['no shape', fileOf('{"a":{"dtype":"F32","data_offsets":[0,4]}}', 4), header, /shape .* got nothing/],
    ['negative size', fileOf(`{"a":${entry(0, 4, [-1])}}`, 4), header, /non-negative integers, got \[-1\]/],
    ['fractional size', fileOf(`{"a":${entry(0, 4, [1.5])}}`, 4), header, /got \[1.5\]/],
    ['size over 2^53', fileOf(`{"a":${entry(0, 0, [2 ** 53, 0])}}`), header, /non-negative integers/],
    ['size a string', fileOf(`{"a":${entry(0, 4, ['1'])}}`, 4), header, /got \["1"\]/],
    [
      'sizes whose product overflows',
      fileOf(`{"a":${entry(0, 8, [2 ** 52, 2 ** 52])}}`, 8),
      header,
      /its offsets hold 8/,
    ],
    ['three offsets', fileOf('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}}', 1), header, /\[begin, end\]/],
    ['offsets reversed', fileOf('{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}', 1), header, /begin <= end/],
    [
      'size not as shape',
      fileOf(`{"a":${entry(0, 4, [2])}}`, 4),
      header,
      /shape \[2\] takes 8 bytes, its offsets hold 4/,
    ],
    ['same name twice', fileOf(`{"a":${entry(0, 4)},"\\u0061":${entry(4, 8)}}`, 8), header, /has "a" twice/],
    [
      'field twice',
      fileOf('{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}', 1),
      header,
      /"dtype" twice/,
    ],
    ['overlap', fileOf(`{"a":${entry(0, 8)},"b":${entry(4, 12)}}`, 12), header, /"b" overlaps .* at byte \d+, not \d+/],
    ['same place', fileOf(`{"a":${entry(0, 8)},"b":${entry(0, 8)}}`, 8), header, /overlaps/],
    ['inside another', fileOf(`{"a":${entry(0, 8)},"b":${entry(4, 4)}}`, 8), header, /overlaps/],
    ['hole', fileOf(`{"a":${entry(0, 4)},"b":${entry(8, 12)}}`, 12), header, /"b" leaves a hole/],
    ['hole at the start', fileOf(`{"a":${entry(4, 8)}}`, 8), header, /hole/],
    ['missing bytes', fileOf(`{"a":${entry(0, 8)}}`, 7), cut, /the tensors end at byte \d+, the file at \d+/],
    ['trailing bytes', fileOf(`{"a":${entry(0, 8)}}`, 9), header, /the tensors end at byte \d+, the file at \d+/],
    ['data without tensors', fileOf('{}', 1), header, /the tensors end at byte 10, the file at 11/],
  ];
  test.each(cases)('%s', async (_name, bytes, code, message) => {
    const error = await openSafetensors(bytes).then(
      () => expect.fail('opened'),
      (reason: unknown) => reason,
    );
    expect(isHeddleError(error) ? [error.code, error.name] : error).toEqual([code, 'FileFormatError']);
    expect((error as Error).message).toMatch(message);
  });
});

test('accepts what the format allows: padding, scalars, empty tensors anywhere, unknown fields, -0', async () => {
  const entries = [
    `"b":${entry(4, 8)}`,
    `"empty":${entry(4, 4, [0, 3])}`,
    '"a":{"dtype":"F32","shape":[],"data_offsets":[0,4],"note":{"deep":[{}]}}',
    '"minus":{"dtype":"F32","shape":[-0],"data_offsets":[-0,0]}',
    '"last":{"dtype":"F64","shape":[7,0],"data_offsets":[8,8]}',
  ];
  const file = await openSafetensors(fileOf(`{${entries.join(' , ')}}   `, 8));
  expect(file.names()).toEqual(['minus', 'a', 'empty', 'b', 'last']);
  expect(file.info('a')).toEqual({ dtype: 'F32', shape: [], byteLength: 4 });
  expect(file.info('minus').shape).toStrictEqual([0]);
  expect(file.metadata.size).toBe(0);
  const nothing = await openSafetensors(fileOf('{}'));
  expect(nothing.names()).toEqual([]);
});
