import { DTypeError, ShapeError } from '../../checks/errors.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { threefry2x32 } from '../../random/random-bits.ts';
import { threefryWords, type WordArithmetic, wgslWords } from '../../random/threefry-words.ts';
import { formatShape } from '../../shape.ts';
import { bitOr, bitXor, shiftLeft, shiftRight } from '../elementwise/bitwise.ts';

export interface ThreefryAttributes {
  /** The second word of the counter: draws of one key for different purposes differ in it. */
  readonly stream: number;
  /** Which of the two words of a block is taken. */
  readonly word: 0 | 1;
}

/** Words as u32 tensors, which broadcast. */
export const tensorWords: WordArithmetic<Tensor> = {
  add: (a, b) => a.add(b),
  xor: (a, b) => bitXor(a, b),
  rotate: (a, by) => bitOr(shiftLeft(a, by), shiftRight(a, 32 - by)),
};

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
    const part = (i: number) => key!.slice(0, i, i + 1).reshape([]);
    return [threefryWords(tensorWords, [part(0), part(1)], [counter!, stream])[word]];
  },
  lower: {
    reference: {
      run: ({ inputs: [key, counter], attributes: { stream, word } }) => [
        counter!.data.map((count) => threefry2x32(key!.data[0]!, key!.data[1]!, count, stream)[word]),
      ],
    },
    webgpu: {
      at({ attributes: { stream, word }, read, let: bind }, coordinates) {
        const key = [read(0, ['0u']), read(0, ['1u'])] as const;
        return threefryWords(wgslWords(bind), key, [read(1, coordinates), stream])[word];
      },
    },
  },
});

/** One word of threefry-2x32 for each count of `counter` (u32, any shape) under `key` (u32 `[2]`). */
export function threefry(key: Tensor, counter: Tensor, attributes: ThreefryAttributes): Tensor {
  return recordOne(threefryOp, [key, counter], attributes);
}
