import { defineOp, full, type Op, record, type Tensor } from '@heddle/tensor';
import type { AttendSpec } from '../kernels/attention-kernel.ts';
import { type PackedCall, packedArguments } from './arguments.ts';
import { type PackedAttributes, packedSizes } from './attributes.ts';
import { checkPacked } from './check.ts';
import { decomposePacked, type PackedFunctions } from './decomposition.ts';
import { packedOnnx } from './onnx/attention.onnx.ts';
import { packedReference } from './reference.ts';
import { overRotated } from './rotated.ts';
import { packedWebGpu } from './wgsl/lowering.wgsl.ts';

const packedAttentionOp: Op<PackedAttributes> = defineOp({
  name: 'packedAttention',
  shape: checkPacked,
  decompose: (inputs, attributes) => decomposePacked(inputs, attributes),
  lower: { reference: packedReference, onnx: packedOnnx, webgpu: packedWebGpu },
});

/** Output and, where it is asked for, log-sum-exp, in tensor operations. */
export function decomposedAttention(call: PackedCall): readonly Tensor[] {
  if (call.kv?.rotated) return overRotated(call, decomposedAttention);
  const { inputs, attributes } = packedArguments(call);
  checkPacked(inputs, attributes);
  return ofNoRows(inputs, attributes) ?? decomposePacked(inputs, attributes, functionsOf(call.spec));
}

/** The same as one operation; with functions of the scores, which its kernels do not know, in tensor operations. */
export function packedAttention(call: PackedCall): readonly Tensor[] {
  if (call.kv?.rotated) return overRotated(call, packedAttention);
  if (functionsOf(call.spec)) return decomposedAttention(call);
  const { inputs, attributes } = packedArguments(call);
  checkPacked(inputs, attributes);
  return ofNoRows(inputs, attributes) ?? record(packedAttentionOp, inputs, attributes);
}

/** What comes of no rows, where it is known that there are none. */
function ofNoRows(inputs: readonly Tensor[], attributes: PackedAttributes): readonly Tensor[] | undefined {
  const { T, H, V } = packedSizes(inputs, attributes);
  if (T !== 0) return undefined;
  const { device, dtype } = inputs[0]!;
  return [full(device, [0, H, V], 0, dtype), ...(attributes.lse ? [full(device, [0, H], 0, 'f32')] : [])];
}

const functionsOf = ({ scoreMod, maskMod }: AttendSpec): PackedFunctions | undefined =>
  scoreMod || maskMod ? { scoreMod, maskMod } : undefined;
