import { type Device, type Tensor, take, where } from '@heddle/tensor';
import type { AttendSpec } from '../kernels/attention-kernel.ts';
import { normal } from './numbers.ts';

type NumberPlace = Readonly<Record<'b' | 'h' | 'q' | 'k', number>>;

/** Score and mask functions of tensors, and the same of numbers. */
export interface ScorePair {
  readonly ofTensors: (
    device: Device,
    sizes: { readonly B: number; readonly H: number },
  ) => Pick<AttendSpec, 'scoreMod' | 'maskMod'>;
  readonly score?: (score: number, place: NumberPlace) => number;
  readonly mask?: (place: NumberPlace) => boolean;
}

export type ScorePairName = 'distances' | 'captured' | 'hiding';

const biases = normal(91, 64).map(Math.fround);
const shown = Array.from({ length: 24 }, (_, i) => Number(i % 5 !== 2));
const modulo = (x: Tensor, by: number) => x.sub(x.div(by).mul(by));

export const scorePairs: Readonly<Record<ScorePairName, ScorePair>> = {
  /** Without a tensor from outside. */
  distances: {
    ofTensors: () => ({
      scoreMod: (score, { h, q, k }) => score.mul(0.75).sub(h.add(1).mul(q.sub(k)).cast('f32').mul(0.0625)),
    }),
    score: (score, { h, q, k }) => score * 0.75 - (h + 1) * (q - k) * 0.0625,
  },
  /** With a bias by head and position, and a mask by sequence and distance. */
  captured: {
    ofTensors: (device, { B, H }) => {
      const bias = device.tensor(Float32Array.from(biases.slice(0, 8 * H)));
      const open = device.tensor(Int32Array.from(shown.slice(0, 4 * B)));
      return {
        scoreMod: (score, { h, k }) => score.add(take(bias, h.mul(8).add(modulo(k, 8)))),
        maskMod: ({ b, q, k }) =>
          take(
            open,
            b
              .maximum(0)
              .mul(4)
              .add(modulo(q.sub(k), 4)),
          ).greater(0),
      };
    },
    score: (score, { h, k }) => score + biases[h * 8 + (k % 8)]!,
    mask: ({ b, q, k }) => shown[b * 4 + ((q - k) % 4)]! > 0,
  },
  /** Heads that see other keys than each other, of scores of minus infinity too, and rows that see none. */
  hiding: {
    ofTensors: () => ({
      scoreMod: (score, { h, k }) => where(modulo(k.add(h), 3).equal(0), Number.NEGATIVE_INFINITY, score),
      maskMod: ({ h, q, k }) => modulo(k.add(h), 4).equal(1).not().and(modulo(q, 7).equal(3).not()),
    }),
    score: (score, { h, k }) => ((k + h) % 3 === 0 ? Number.NEGATIVE_INFINITY : score),
    mask: ({ h, q, k }) => (k + h) % 4 !== 1 && q % 7 !== 3,
  },
};
