import { ShapeError } from '../../checks/errors.ts';
import { addDims, type Dim, dimsEqual, multiplyDims, subtractDims } from '../../dim.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { formatShape, type Shape, sizeOf } from '../../shape.ts';
import { stack } from '../movement/arrange.ts';
import { pad, slice } from '../movement/slice.ts';

/** How a window moves over the axes behind `[N, C]`: one entry per axis. */
export interface Window {
  readonly kernel: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly (readonly [before: number, after: number])[];
  readonly dilation: readonly number[];
}

/** Number of places of the window along each axis. @throws ShapeError naming `operation` */
export function windowPlaces(operation: string, spatial: Shape, { kernel, stride, padding, dilation }: Window): Shape {
  return spatial.map((size, i) => {
    const reach = dilation[i]! * (kernel[i]! - 1) + 1;
    const room = subtractDims(addDims(size, padding[i]![0] + padding[i]![1]), reach);
    if (typeof room !== 'number') {
      if (stride[i] === 1) return addDims(room, 1);
      throw new ShapeError(
        `${operation}: along a symbolic dimension the stride must be 1, got ${stride[i]} for ${size}`,
      );
    }
    if (room < 0)
      throw new ShapeError(
        `${operation}: a window that reaches over ${reach} values does not fit in ${formatShape(spatial)} padded by [${padding[i]}]`,
      );
    return Math.floor(room / stride[i]!) + 1;
  });
}

/** Offsets of a window's values, row-major. */
function windowOffsets(kernel: readonly number[]): number[][] {
  return kernel.reduce<number[][]>(
    (offsets, size) => offsets.flatMap((front) => Array.from({ length: size }, (_, i) => [...front, i])),
    [[]],
  );
}

const patchesOp: Op<Window> = defineOp<Window>({
  name: 'patches',
  shape([x], window) {
    const places = windowPlaces('patches', x!.shape.slice(2), window);
    return [{ shape: [...x!.shape.slice(0, 2), sizeOf(window.kernel), ...places], dtype: x!.dtype }];
  },
  decompose([x], window) {
    const { kernel, stride, padding, dilation } = window;
    const places = windowPlaces('patches', x!.shape.slice(2), window);
    const around = (side: 0 | 1) => [0, 0, ...padding.map((pair) => pair[side])];
    const padded = pad(x!, around(0), around(1));
    const parts = windowOffsets(kernel).map((offset) =>
      offset.reduce((part, at, i) => {
        const start = at * dilation[i]!;
        const end = addDims(start, addDims(multiplyDims(subtractDims(places[i]!, 1), stride[i]!), 1));
        return slice(part, i + 2, start, end, stride[i]!);
      }, padded),
    );
    return [stack(parts, 2)];
  },
  lower: {
    webgpu: {
      at(
        { inputs: [x], output, attributes: { kernel, stride, padding, dilation }, dim, read, let: bind },
        coordinates,
      ) {
        const zero = output.dtype === 'i32' ? '0i' : output.dtype === 'f32' || output.dtype === 'f16' ? '0.0' : '0u';
        const inside: string[] = [];
        let rest = coordinates[2]!;
        const offsets: string[] = [];
        for (let i = kernel.length - 1; i >= 0; i--) {
          offsets[i] = i === 0 ? rest : bind(`${rest} % ${kernel[i]}u`);
          rest = i === 0 ? rest : bind(`${rest} / ${kernel[i]}u`);
        }
        const source = kernel.map((_, i) => {
          const [before, after] = padding[i]!;
          // before the first value this wraps around and is out of range
          const at = bind(`${coordinates[i + 3]} * ${stride[i]}u + ${offsets[i]} * ${dilation[i]}u - ${before}u`);
          if (before === 0 && after === 0) return at;
          inside.push(`${at} < ${dim(x!.shape[i + 2]!)}`);
          return bind(`min(${at}, ${dim(x!.shape[i + 2]!)} - 1u)`);
        });
        const value = read(0, [coordinates[0]!, coordinates[1]!, ...source]);
        return inside.length === 0 ? value : `select(${zero}, ${value}, ${inside.join(' && ')})`;
      },
    },
  },
});

/** The values under a window at each of its places: `x` `[N, C, ...]` gives `[N, C, window, ...places]`, zeros outside of `x`. */
export function patches(x: Tensor, window: Window): Tensor {
  return recordOne(patchesOp, [x], window);
}

/** Zeros between the values along the axes behind `[N, C]`, so that those lie `stride` apart. */
export function spread(x: Tensor, stride: readonly number[]): Tensor {
  return stride.reduce((y, step, i) => {
    if (step === 1) return y;
    const [front, size, back] = [y.shape.slice(0, i + 2), y.shape[i + 2]!, y.shape.slice(i + 3)];
    const apart = y.reshape([...front, size, 1, ...back]);
    const none = apart.shape.map(() => 0);
    const gaps = apart.shape.map((_, axis) => (axis === i + 3 ? step - 1 : 0));
    const wide = pad(apart, none, gaps).reshape([...front, multiplyDims(size, step), ...back]);
    return slice(wide, i + 2, 0, addDims(multiplyDims(subtractDims(size, 1), step), 1));
  }, x);
}

/** Pads an axis by `before` and `after`, or cuts off where they are below 0. */
export function fitAxis(x: Tensor, axis: number, before: number, after: number): Tensor {
  const at = (size: number) => x.shape.map((_, i) => (i === axis ? Math.max(size, 0) : 0));
  const padded = pad(x, at(before), at(after));
  const size: Dim = padded.shape[axis]!;
  const cut = slice(padded, axis, Math.max(-before, 0), addDims(size, Math.min(after, 0)));
  return dimsEqual(cut.shape[axis]!, size) ? padded : cut;
}
