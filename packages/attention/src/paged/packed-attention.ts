import { defineOp, type Op, record, type Tensor } from '@heddle/tensor';
import type { AttendSpec } from '../kernels/attention-kernel.ts';
import { type PackedCall, packedArguments } from './arguments.ts';
import type { PackedAttributes } from './attributes.ts';
import { checkPacked } from './check.ts';
import { decomposePacked, type PackedFunctions } from './decomposition.ts';
import { packedOnnx } from './onnx/attention.onnx.ts';
import { packedReference } from './reference.ts';
import { packedWebGpu } from './wgsl/lowering.wgsl.ts';

const packedAttentionOp: Op<PackedAttributes> = defineOp({
  name: 'packedAttention',
  shape: checkPacked,
  decompose: (inputs, attributes) => decomposePacked(inputs, attributes),
  lower: { reference: packedReference, onnx: packedOnnx, webgpu: packedWebGpu },
});

/** Output and, where it is asked for, log-sum-exp, in tensor operations. */
export function decomposedAttention(call: PackedCall): readonly Tensor[] {
  const { inputs, attributes } = packedArguments(call);
  checkPacked(inputs, attributes);
  return decomposePacked(inputs, attributes, functionsOf(call.spec));
}

/** The same as one operation; with functions of the scores, which its kernels do not know, in tensor operations. */
export function packedAttention(call: PackedCall): readonly Tensor[] {
  if (functionsOf(call.spec)) return decomposedAttention(call);
  const { inputs, attributes } = packedArguments(call);
  return record(packedAttentionOp, inputs, attributes);
}

const functionsOf = ({ scoreMod, maskMod }: AttendSpec): PackedFunctions | undefined =>
  scoreMod || maskMod ? { scoreMod, maskMod } : undefined;
