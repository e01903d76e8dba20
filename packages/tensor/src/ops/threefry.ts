import { DTypeError, ShapeError } from '../errors.ts';
import { defineOp, type Op } from '../graph/op.ts';
import { recordOne } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { parity, rotations, threefry2x32 } from '../random-bits.ts';
import { formatShape } from '../shape.ts';
import { bitOr, bitXor, shiftLeft, shiftRight } from './bitwise.ts';
import { reshape } from './movement.ts';
import { slice } from './slice.ts';

export interface ThreefryAttributes {
  /** The second word of the counter: draws of one key for different purposes differ in it. */
  readonly stream: number;
  /** Which of the two words of a block is taken. */
  readonly word: 0 | 1;
}

const threefryOp: Op<ThreefryAttributes> = defineOp({
  name: 'threefry',
  shape([key, counter]) {
    if (key!.dtype !== 'u32' || counter!.dtype !== 'u32')
      throw new DTypeError(`threefry: key and counter must be u32, got ${key!.dtype} and ${counter!.dtype}`);
    if (key!.shape.length !== 1 || key!.shape[0] !== 2)
      throw new ShapeError(`threefry: the key must be [2], got ${formatShape(key!.shape)}`);
    return [{ shape: counter!.shape, dtype: 'u32' }];
  },
  gradient: () => [undefined, undefined],
  decompose([key, counter], { stream, word }) {
    const part = (i: number) => reshape(slice(key!, 0, i, i + 1), []);
    const [key0, key1] = [part(0), part(1)];
    const keys = [key0, key1, bitXor(bitXor(key0, key1), parity)] as const;
    let x0 = counter!.add(key0);
    let x1 = key1.add(stream);
    for (let round = 0; round < 20; round++) {
      const by = rotations[round % 8]!;
      x0 = x0.add(x1);
      x1 = bitXor(bitOr(shiftLeft(x1, by), shiftRight(x1, 32 - by)), x0);
      if (round % 4 !== 3) continue;
      const injection = (round + 1) / 4;
      x0 = x0.add(keys[injection % 3]!);
      x1 = x1.add(keys[(injection + 1) % 3]!).add(injection);
    }
    return [[x0, x1][word]!];
  },
  lower: {
    reference: {
      run: ({ inputs: [key, counter], attributes: { stream, word } }) => [
        counter!.data.map((count) => threefry2x32(key!.data[0]!, key!.data[1]!, count, stream)[word]),
      ],
    },
    webgpu: {
      at({ attributes: { stream, word }, read, let: bind }, coordinates) {
        const [key0, key1] = [read(0, ['0u']), read(0, ['1u'])];
        const keys = [key0, key1, bind(`${key0} ^ ${key1} ^ ${parity}u`)] as const;
        let x0 = bind(`${read(1, coordinates)} + ${key0}`);
        let x1 = bind(`${key1} + ${stream}u`);
        for (let round = 0; round < 20; round++) {
          const by = rotations[round % 8]!;
          x0 = bind(`${x0} + ${x1}`);
          x1 = bind(`((${x1} << ${by}u) | (${x1} >> ${32 - by}u)) ^ ${x0}`);
          if (round % 4 !== 3) continue;
          const injection = (round + 1) / 4;
          x0 = bind(`${x0} + ${keys[injection % 3]}`);
          x1 = bind(`${x1} + ${keys[(injection + 1) % 3]} + ${injection}u`);
        }
        return [x0, x1][word]!;
      },
    },
  },
});

/** One word of threefry-2x32 for each count of `counter` (u32, any shape) under `key` (u32 `[2]`). */
export function threefry(key: Tensor, counter: Tensor, attributes: ThreefryAttributes): Tensor {
  return recordOne(threefryOp, [key, counter], attributes);
}
