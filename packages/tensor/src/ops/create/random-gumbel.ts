import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { describe } from '../../checks/describe.ts';
import { ArgumentError, DTypeError, ShapeError } from '../../checks/errors.ts';
import { type Dim, dimsEqual } from '../../dim.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { gumbelFromBits, threefry2x32 } from '../../random/random-bits.ts';
import { threefryWords, wgslWords } from '../../random/threefry-words.ts';
import { formatShape } from '../../shape.ts';
import { bitAnd, bitOr, shiftLeft, shiftRight } from '../elementwise/bitwise.ts';
import { cast } from '../elementwise/cast.ts';
import { polynomial } from '../elementwise/polynomial.ts';
import { where } from '../elementwise/where.ts';
import { reshape } from '../movement/movement.ts';
import { arange } from './creation.ts';
import { tensorWords } from './threefry.ts';

/** 1 / (n + 1): of -log(1 - v) / v, enough below 1/8. */
const series = [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6, 1 / 7, 1 / 8] as const;

const gumbelOp: Op<{ readonly size: Dim }> = defineOp({
  name: 'randomGumbel',
  shape([keys, counters], { size }) {
    if (keys!.dtype !== 'u32' || counters!.dtype !== 'u32')
      throw new DTypeError(`randomGumbel: keys and counters must be u32, got ${keys!.dtype} and ${counters!.dtype}`);
    const [rows, words] = keys!.shape;
    const fits = keys!.shape.length === 2 && counters!.shape.length === 1 && words === 2;
    if (!fits || !dimsEqual(rows!, counters!.shape[0]!))
      throw new ShapeError(
        `randomGumbel: takes keys [R, 2] and counters [R], got ${formatShape(keys!.shape)} and ${formatShape(counters!.shape)}`,
      );
    return [{ shape: [rows!, size], dtype: 'f32' }];
  },
  gradient: () => [undefined, undefined],
  decompose([keys, counters], { size }) {
    const column = (x: Tensor) => reshape(x, [counters!.shape[0]!, 1]);
    const key = [0, 1].map((i) => column(keys!.slice(1, i, i + 1))) as [Tensor, Tensor];
    const places = reshape(arange(keys!.device, size, 'u32'), [1, size]);
    const [high, low] = threefryWords(tensorWords, key, [places, column(counters!)]);
    return [gumbel(high, low)];
  },
  lower: {
    reference: {
      run({ inputs: [keys, counters], outputs: [out] }) {
        const [rows, size] = out!.shape as [number, number];
        const noise = new Float64Array(rows * size);
        for (let row = 0; row < rows; row++)
          for (let i = 0; i < size; i++)
            noise[row * size + i] = gumbelFromBits(
              threefry2x32(keys!.data[2 * row]!, keys!.data[2 * row + 1]!, i, counters!.data[row]!),
            );
        return [noise];
      },
    },
    webgpu: {
      at({ read, let: bind, prelude }, [row, place]) {
        const key = [read(0, [row!, '0u']), read(0, [row!, '1u'])] as const;
        const [high, low] = threefryWords(wgslWords(bind), key, [place!, read(1, [row!])]);
        return `${prelude.gumbel_of_bits}(${high}, ${low})`;
      },
    },
  },
});

/** `gumbelFromBits` in tensor operations. */
function gumbel(high: Tensor, low: Tensor): Tensor {
  const cell = shiftRight(high, 9);
  const fraction = bitOr(shiftLeft(bitAnd(high, 0x1ff), 14), shiftRight(low, 18));
  const odd = (x: Tensor) => cast(x, 'f32').mul(2).add(1);
  const coarse = odd(cell).mul(2 ** -24);
  const fine = cast(cell, 'f32')
    .mul(2 ** -23)
    .add(odd(fraction).mul(2 ** -47));
  const exponential = where(cell.less(2 ** 20), polynomial(fine, series).mul(fine), coarse.neg().add(1).log().neg());
  return exponential.log().neg();
}

/**
 * Values of the standard Gumbel distribution, f32 `[R, size]`: that at `[r, i]` is a function of `keys[r]`, `counters[r]` and i
 * alone, so a row has the same ones wherever it stands and whatever stands beside it. The largest of a row of logits with them
 * added is a draw from its softmax (https://arxiv.org/abs/1611.01144). Executors agree within 1e-5.
 * @param keys u32 `[R, 2]`, of a seed each
 * @param counters u32 `[R]`, which draw of the key it is
 * @throws DTypeError, ShapeError
 */
export function randomGumbel(keys: Tensor, counters: Tensor, size: Dim): Tensor {
  return calledAs('randomGumbel', () => {
    checkArguments('randomGumbel', 'tensor', { keys, counters });
    for (const given of [keys, counters])
      if (!(given as Tensor | undefined)?.node)
        throw new ArgumentError(`randomGumbel: takes tensors as keys and counters, got ${describe(given)}`);
    return recordOne(gumbelOp, [keys, counters], { size });
  });
}
