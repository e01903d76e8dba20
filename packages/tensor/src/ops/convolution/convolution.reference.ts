import type { ReferenceContext } from '../../graph/reference-lowering.ts';
import { sizeOf } from '../../shape.ts';
import type { ConvolutionAttributes } from './convolution.ts';

/** By the definition: for each value of the result, each channel of its group and each value of the window. */
export function convolutionReference({
  inputs,
  outputs,
  attributes: { kernel, stride, padding, dilation, groups },
}: ReferenceContext<ConvolutionAttributes>): readonly Float64Array[] {
  const [x, weight, out] = [inputs[0]!, inputs[1]!, outputs[0]!];
  const [batch, channels, ...size] = x.shape as [number, number, ...number[]];
  const [, outChannels, ...places] = out.shape as [number, number, ...number[]];
  const each = channels / groups;
  const [area, placeCount, windowSize] = [sizeOf(size), sizeOf(places), sizeOf(kernel)];
  const result = new Float64Array(sizeOf(out.shape));
  /** Where the value of the window lies in a channel of x, -1 outside of it. */
  const source = (place: number, offset: number): number => {
    let [p, k, at, step] = [place, offset, 0, 1];
    for (let i = size.length - 1; i >= 0; i--) {
      const c = (p % places[i]!) * stride[i]! + (k % kernel[i]!) * dilation[i]! - padding[i]![0];
      if (c < 0 || c >= size[i]!) return -1;
      at += c * step;
      step *= size[i]!;
      p = Math.floor(p / places[i]!);
      k = Math.floor(k / kernel[i]!);
    }
    return at;
  };
  for (let n = 0; n < batch; n++)
    for (let o = 0; o < outChannels; o++) {
      const group = Math.floor(o / (outChannels / groups));
      for (let place = 0; place < placeCount; place++) {
        let sum = 0;
        for (let offset = 0; offset < windowSize; offset++) {
          const at = source(place, offset);
          // the zeros around x are values like others: times an infinite weight they are not a number
          for (let c = 0; c < each; c++)
            sum +=
              (at < 0 ? 0 : x.data[(n * channels + group * each + c) * area + at]!) *
              weight.data[(o * each + c) * windowSize + offset]!;
        }
        result[(n * outChannels + o) * placeCount + place] = sum;
      }
    }
  return [result];
}
