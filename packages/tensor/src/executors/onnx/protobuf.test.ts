import { describe, expect, test } from 'vitest';
import { Message } from './protobuf.ts';

const bytes = (message: Message) => [...message.finish()];

describe('protobuf messages', () => {
  test('integers are varints', () => {
    expect(bytes(new Message().int(1, 0))).toEqual([0x08, 0]);
    expect(bytes(new Message().int(1, 300))).toEqual([0x08, 0xac, 0x02]);
    expect(bytes(new Message().int(20, 7))).toEqual([0xa0, 0x01, 7]);
    expect(bytes(new Message().int(3, 2n ** 63n - 1n))).toEqual([0x18, ...Array(8).fill(0xff), 0x7f]);
  });

  test('negative integers take ten bytes', () => {
    expect(bytes(new Message().int(3, -1))).toEqual([0x18, ...Array(9).fill(0xff), 0x01]);
  });

  test('floats are four bytes, little endian', () => {
    expect(bytes(new Message().float(2, 1.5))).toEqual([0x15, 0, 0, 0xc0, 0x3f]);
  });

  test('strings and bytes carry their length', () => {
    expect(bytes(new Message().string(2, 'hé'))).toEqual([0x12, 3, 0x68, 0xc3, 0xa9]);
    expect(bytes(new Message().bytes(9, Uint16Array.of(1, 2).subarray(1)))).toEqual([0x4a, 2, 2, 0]);
    expect(bytes(new Message().bytes(9, new Float32Array(0)))).toEqual([0x4a, 0]);
  });

  test('messages nest', () => {
    const inner = new Message().int(1, 5).string(2, 'a');
    expect(bytes(new Message().message(7, inner).int(1, 1))).toEqual([0x3a, 5, 0x08, 5, 0x12, 1, 0x61, 0x08, 1]);
  });
});
