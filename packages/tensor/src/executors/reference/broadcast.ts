import type { ReferenceArray } from '../../graph/reference-lowering.ts';
import { broadcastShapes, sizeOf, stridesOf } from '../../shape.ts';

/** Applies `apply` to every combination of broadcast values. */
export function mapBroadcast(
  name: string,
  inputs: readonly ReferenceArray[],
  shape: readonly number[],
  apply: (...values: number[]) => number,
): Float64Array {
  broadcastShapes(
    name,
    inputs.map((input) => input.shape),
  );
  const steps = inputs.map((input) => {
    const strides = stridesOf(input.shape);
    const extra = shape.length - input.shape.length;
    return shape.map((_, axis) => (axis < extra || input.shape[axis - extra] === 1 ? 0 : strides[axis - extra]!));
  });
  const axes = joinedAxes(shape, steps);
  const { size: length, steps: along } = axes.pop() ?? { size: 1, steps: inputs.map(() => 0) };
  const row = rowOf(inputs, along, length, apply);
  const out = new Float64Array(sizeOf(shape));
  const at = new Array<number>(axes.length).fill(0);
  const place = new Array<number>(inputs.length).fill(0);
  for (let i = 0; i < out.length; i += length) {
    row(out, i, place);
    for (let axis = axes.length - 1; axis >= 0; axis--) {
      const { size, steps } = axes[axis]!;
      at[axis]!++;
      for (let k = 0; k < inputs.length; k++) place[k]! += steps[k]!;
      if (at[axis]! < size) break;
      for (let k = 0; k < inputs.length; k++) place[k]! -= size * steps[k]!;
      at[axis] = 0;
    }
  }
  return out;
}

interface Axis {
  readonly size: number;
  /** How far apart the values of each input are along it; 0 where it repeats them. */
  readonly steps: readonly number[];
}

/** The axes, those of size 1 left out, and neighbours joined that every input goes through in one stride. */
function joinedAxes(shape: readonly number[], steps: readonly (readonly number[])[]): Axis[] {
  const axes: Axis[] = [];
  shape.forEach((size, axis) => {
    if (size === 1) return;
    const own = steps.map((list) => list[axis]!);
    const last = axes.at(-1);
    if (last?.steps.every((step, k) => step === own[k]! * size))
      axes[axes.length - 1] = { size: last.size * size, steps: own };
    else axes.push({ size, steps: own });
  });
  return axes;
}

/** Applies `apply` along the last axis, from a place in each input on. One and two inputs have loops of their own: most are. */
function rowOf(
  inputs: readonly ReferenceArray[],
  along: readonly number[],
  length: number,
  apply: (...values: number[]) => number,
): (out: Float64Array, start: number, place: readonly number[]) => void {
  const [a, b] = inputs.map(({ data }) => data);
  const [stepA, stepB] = along;
  if (inputs.length === 1)
    return (out, start, [from]) => {
      for (let j = 0, p = from!; j < length; j++, p += stepA!) out[start + j] = apply(a![p]!);
    };
  if (inputs.length === 2)
    return (out, start, [fromA, fromB]) => {
      for (let j = 0, p = fromA!, q = fromB!; j < length; j++, p += stepA!, q += stepB!)
        out[start + j] = apply(a![p]!, b![q]!);
    };
  const values = new Array<number>(inputs.length);
  return (out, start, place) => {
    for (let j = 0; j < length; j++) {
      for (let k = 0; k < inputs.length; k++) values[k] = inputs[k]!.data[place[k]! + j * along[k]!]!;
      out[start + j] = apply(...values);
    }
  };
}
