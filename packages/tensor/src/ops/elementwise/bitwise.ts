import type { OnnxBuilder } from '../../graph/onnx-lowering.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { Operand } from '../../graph/tensor-operations.ts';
import { binary, type Elementwise } from './define-elementwise.ts';

/** Bits that are set in both operands; i32 or u32. */
export const bitAnd: (a: Operand, b: Operand) => Tensor = binary({
  name: 'bitAnd',
  takes: 'integer',
  reference: (a, b) => a! & b!,
  onnx: 'BitwiseAnd',
  webgpu: ([a, b]) => `(${a} & ${b})`,
});
/** Bits that are set in either operand; i32 or u32. */
export const bitOr: (a: Operand, b: Operand) => Tensor = binary({
  name: 'bitOr',
  takes: 'integer',
  reference: (a, b) => a! | b!,
  onnx: 'BitwiseOr',
  webgpu: ([a, b]) => `(${a} | ${b})`,
});
/** Bits that are set in one operand; i32 or u32. */
export const bitXor: (a: Operand, b: Operand) => Tensor = binary({
  name: 'bitXor',
  takes: 'integer',
  reference: (a, b) => a! ^ b!,
  onnx: 'BitwiseXor',
  webgpu: ([a, b]) => `(${a} ^ ${b})`,
});
/** The bits of `a` (u32) moved up by `b` places, zeros behind them; `b` counts modulo 32. */
export const shiftLeft: (a: Operand, b: Operand) => Tensor = binary({
  name: 'shiftLeft',
  takes: 'u32',
  reference: (a, b) => a! << b!,
  onnx: shift('LEFT'),
  webgpu: ([a, b]) => `(${a} << (${b} & 31u))`,
});
/** The bits of `a` (u32) moved down by `b` places, zeros before them; `b` counts modulo 32. */
export const shiftRight: (a: Operand, b: Operand) => Tensor = binary({
  name: 'shiftRight',
  takes: 'u32',
  reference: (a, b) => a! >>> b!,
  onnx: shift('RIGHT'),
  webgpu: ([a, b]) => `(${a} >> (${b} & 31u))`,
});

function shift(direction: 'LEFT' | 'RIGHT'): Elementwise['onnx'] {
  return (builder: OnnxBuilder, [a, b]) => {
    const places = builder.op('BitwiseAnd', [b!, builder.constant('u32', [], [31])]);
    return builder.op('BitShift', [a!, places], { attributes: { direction } });
  };
}
