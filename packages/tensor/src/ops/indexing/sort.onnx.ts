import { isFloat } from '../../dtype.ts';
import type { OnnxLowering } from '../../graph/onnx-lowering.ts';
import { keyOf } from '../reduce/extremum.ts';
import type { TopKAttributes } from './sort.ts';

/**
 * TopK puts the first of equal values first, as it should. It ends the process where there are no values, so a symbolic dimension,
 * which may be 0 in a run, gets one place more, which is cut off again.
 */
export const topKOnnx: OnnxLowering<TopKAttributes> = {
  supports: ({ inputs: [x], attributes: { axis } }) => !x!.shape.includes(0) && typeof x!.shape[axis] === 'number',
  emit(builder, [x], { inputs: [input], outputs: [out], attributes: { axis, count, largest } }) {
    const { dtype, shape } = input!;
    const type = isFloat(dtype) ? 'f64' : dtype === 'u32' ? 'i64' : dtype;
    // NaN is the largest of all, in whichever direction
    const typed = type === 'i64' ? builder.cast(x!, type) : keyOf(builder, x!, dtype, 'largest');
    const more = shape.map((dim) => Number(typeof dim !== 'number'));
    const isOpen = more.includes(1);
    const before = shape.map(() => 0);
    const padded = isOpen
      ? builder.op('Pad', [typed, builder.sizes([...before, ...more]), builder.constant(type, [], [0])])
      : typed;
    const [values, indices] = builder.opWithOutputs('TopK', [padded, builder.sizes([count])], 2, {
      attributes: { axis, largest: Number(largest), sorted: 1 },
    });
    const cut = (value: string) =>
      isOpen ? builder.op('Slice', [value, builder.sizes(before), builder.sizes(out!.shape)]) : value;
    const places = cut(indices!);
    const found = isFloat(dtype)
      ? builder.op('GatherElements', [x!, places], { attributes: { axis } })
      : type === dtype
        ? cut(values!)
        : builder.cast(cut(values!), dtype);
    return [found, builder.cast(places, 'i32')];
  },
};
