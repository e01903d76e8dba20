import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { describe } from '../../checks/describe.ts';
import { ArgumentError, DTypeError } from '../../checks/errors.ts';
import { type Dim, evaluateDim, isDim } from '../../dim.ts';
import { type DType, isFloat } from '../../dtype.ts';
import { floatLiteral } from '../../executors/webgpu/codegen/float-literal.ts';
import { f16ToF32, f32ToF16 } from '../../float16.ts';
import type { Device } from '../../graph/device.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOn } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { Prelude } from '../../graph/webgpu-lowering.ts';
import { type Shape, sizeOf } from '../../shape.ts';

const fullOp: Op<{ readonly shape: Shape; readonly value: number; readonly dtype: DType }> = defineOp({
  name: 'full',
  shape: (_, { shape, dtype }) => [{ shape, dtype }],
  lower: {
    reference: {
      run: ({ outputs: [out], attributes: { value } }) => [new Float64Array(sizeOf(out!.shape)).fill(value)],
    },
    onnx: {
      emit(builder, _, { attributes: { shape, value, dtype } }) {
        const scalar = builder.constant(dtype, [], [value]);
        return shape.length === 0 ? scalar : builder.op('Expand', [scalar, builder.sizes(shape)]);
      },
    },
    webgpu: { at: ({ attributes: { value, dtype }, prelude }) => literal(value, dtype, prelude) },
  },
});

/** WGSL of a number as it is in registers. */
function literal(value: number, dtype: DType, prelude: Prelude): string {
  if (dtype === 'i32') return `i32(${value})`;
  if (!isFloat(dtype)) return `${dtype === 'bool' ? Number(value !== 0) : value}u`;
  return floatLiteral(dtype === 'f16' ? f16ToF32(f32ToF16(Float32Array.of(value)))[0]! : value, prelude);
}

/**
 * A tensor of one value everywhere.
 * @throws ArgumentError for a value that is no number; DTypeError where the dtype cannot hold it: no fractions in integers;
 *   ShapeError for sizes that are none
 */
export function full(device: Device, shape: Shape, value: number, dtype: DType = 'f32'): Tensor {
  checkArguments('full', 'device', { device });
  if (typeof value !== 'number' && typeof value !== 'boolean')
    throw new ArgumentError(`full: value must be a number, got ${describe(value)}`);
  checkHolds('full', dtype, Number(value));
  return recordOn(device, fullOp, [], { shape, value: Number(value), dtype })[0]!;
}

/** @throws DTypeError naming `operation` where an integer dtype cannot hold the number */
export function checkHolds(operation: string, dtype: DType, value: number): void {
  const held = dtype === 'i32' ? value | 0 : dtype === 'u32' ? value >>> 0 : value;
  if (held !== value && !Number.isNaN(held)) throw new DTypeError(`${operation}: ${value} is no ${dtype}`);
}

const arangeOp: Op<{ readonly length: Dim; readonly dtype: DType }> = defineOp({
  name: 'arange',
  shape: (_, { length, dtype }) => [{ shape: [length], dtype }],
  lower: {
    reference: { run: ({ outputs: [out] }) => [Float64Array.from({ length: out!.shape[0]! }, (_, i) => i)] },
    onnx: {
      emit(builder, _, { attributes: { length, dtype } }) {
        // short ones are part of the model, long ones would make it large
        if (typeof length === 'number' && length <= 1024)
          return builder.constant(
            dtype,
            [length],
            Array.from({ length }, (_, i) => i),
          );
        const [zero, one] = [builder.constant('i64', [], [0]), builder.constant('i64', [], [1])];
        const end = builder.op('Squeeze', [builder.sizes([length])]);
        return builder.cast(builder.op('Range', [zero, end, one]), dtype);
      },
    },
    webgpu: {
      at: ({ attributes: { dtype } }, [i]) => (isFloat(dtype) ? `f32(${i})` : dtype === 'i32' ? `i32(${i})` : `${i}`),
    },
  },
});

/**
 * The whole numbers from 0 up to, but not including, `length`, as `[length]`.
 * @throws DTypeError for a dtype that has no numbers; ShapeError for a length that is none
 */
export function arange(device: Device, length: Dim, dtype: DType = 'i32'): Tensor {
  checkArguments('arange', 'device', { device });
  if (!isFloat(dtype) && dtype !== 'i32' && dtype !== 'u32')
    throw new DTypeError(`arange: takes f32, f16, i32 or u32, got ${dtype}`);
  return recordOn(device, arangeOp, [], { length, dtype })[0]!;
}

/** The size of a symbolic dimension in a run, as a scalar. */
const sizeOp: Op<{ readonly dim: Dim; readonly dtype: DType }> = defineOp({
  name: 'size',
  shape: (_, { dtype }) => [{ shape: [], dtype }],
  lower: {
    reference: { run: ({ attributes, dim }) => [Float64Array.of(dim(attributes.dim))] },
    onnx: {
      emit: (builder, _, { attributes: { dim, dtype } }) =>
        builder.cast(builder.op('Squeeze', [builder.sizes([dim])]), dtype),
    },
    webgpu: {
      at: ({ attributes: { dim: d, dtype }, dim }) =>
        isFloat(dtype) ? `f32(${dim(d)})` : dtype === 'i32' ? `i32(${dim(d)})` : dim(d),
    },
  },
});

/**
 * The value of a size: a constant for a number, the run's value for a symbolic dimension.
 * @throws ArgumentError for what is no device; DTypeError for a value that the dtype cannot hold
 */
export function sizeScalar(device: Device, dim: Dim, dtype: DType = 'f32'): Tensor {
  return calledAs('sizeScalar', () => {
    checkArguments('sizeScalar', 'device', { device });
    if (!isDim(dim))
      throw new ArgumentError(`sizeScalar: dim must be a number or a symbolic dimension, got ${describe(dim)}`);
    if (typeof dim === 'number') return full(device, [], evaluateDim(dim, {}), dtype);
    return recordOn(device, sizeOp, [], { dim, dtype })[0]!;
  });
}
