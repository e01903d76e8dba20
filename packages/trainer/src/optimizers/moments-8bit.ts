import { concat, defineOp, type Op, record, type Tensor } from '@heddle/tensor';
import { type BlockwiseCode, dequantizeBlockwise, quantizeBlockwise } from './blockwise.ts';
import { moments8bitWebGpu } from './moments-8bit.wgsl.ts';

export interface Moments8bitAttributes {
  /** How much of the running means of gradients and of their squares stays. */
  readonly betas: readonly [number, number];
  readonly epsilon: number;
}

/** Both moments of a parameter in one byte a value: the first in row 0, the second in row 1. */
export interface Moments8bit {
  /** u32 `[2, words]`, four codes each. */
  readonly codes: Tensor;
  /** f32 `[2, blocks]`: the largest magnitude of each block of 256 values. */
  readonly scales: Tensor;
}

const firstCode: BlockwiseCode = { signed: true, degree: 2 };
const secondCode: BlockwiseCode = { signed: false, degree: 4 };

const row = (x: Tensor, index: number) => x.slice(0, index, index + 1).reshape([x.shape[1]!]);
const rows = (first: Tensor, second: Tensor) => concat([first.reshape([1, -1]), second.reshape([1, -1])], 0);

const moments8bitOp: Op<Moments8bitAttributes> = defineOp({
  name: 'moments8bit',
  shape: ([gradient, codes, scales]) => [{ shape: gradient!.shape, dtype: 'f32' }, codes!, scales!],
  decompose([gradient, codes, scales, rootCorrection], { betas: [beta1, beta2], epsilon }) {
    const shape = gradient!.shape as readonly number[];
    const g = gradient!.cast('f32');
    const before = (index: number, code: BlockwiseCode) =>
      dequantizeBlockwise({ codes: row(codes!, index), scales: row(scales!, index) }, code, shape);
    const m = before(0, firstCode);
    const first = m.add(g.sub(m).mul(1 - beta1));
    const second = before(1, secondCode)
      .mul(beta2)
      .add(g.mul(g).mul(1 - beta2));
    const [a, b] = [quantizeBlockwise(first, firstCode), quantizeBlockwise(second, secondCode)];
    return [
      first.div(second.sqrt().div(rootCorrection!).add(epsilon)),
      rows(a.codes, b.codes),
      rows(a.scales, b.scales),
    ];
  },
  lower: { webgpu: moments8bitWebGpu },
});

/**
 * Takes a gradient into both moments: `direction` is the first over the corrected root of the second and `epsilon`, in f32 and the
 * shape of the gradient. On a GPU one kernel.
 * @param rootCorrection float `[]`
 */
export function recordMoments8bit(
  gradient: Tensor,
  { codes, scales }: Moments8bit,
  rootCorrection: Tensor,
  attributes: Moments8bitAttributes,
): Moments8bit & { readonly direction: Tensor } {
  const inputs = [gradient, codes, scales, rootCorrection];
  const [direction, nextCodes, nextScales] = record(moments8bitOp, inputs, attributes) as [Tensor, Tensor, Tensor];
  return { direction, codes: nextCodes, scales: nextScales };
}
