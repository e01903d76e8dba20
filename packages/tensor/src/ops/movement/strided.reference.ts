import { sizeOf } from '../../shape.ts';

/** Reads `data` at `offset` plus `strides` along each axis of `shape`, row-major. */
export function gatherStrided(
  data: Float64Array,
  shape: readonly number[],
  strides: readonly number[],
  offset: number,
): Float64Array {
  const out = new Float64Array(sizeOf(shape));
  const at = new Array<number>(shape.length).fill(0);
  let place = offset;
  for (let i = 0; i < out.length; i++) {
    out[i] = data[place]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at[axis]!++;
      place += strides[axis]!;
      if (at[axis]! < shape[axis]!) break;
      place -= at[axis]! * strides[axis]!;
      at[axis] = 0;
    }
  }
  return out;
}
