import { defineOp, full, type Op, record, type Tensor } from '@heddle/tensor';
import { type TracedFunctions, traceFunctions } from '../flex/trace.ts';
import { checkAttend } from '../kernels/attention-kernel.ts';
import { type PackedCall, packedArguments } from './arguments.ts';
import { type PackedAttributes, packedSizes } from './attributes.ts';
import { checkPacked } from './check.ts';
import { decomposePacked } from './decomposition.ts';
import { packedOnnx } from './onnx/attention.onnx.ts';
import { packedPlaceShapes } from './places.ts';
import { packedReference } from './reference.ts';
import { overRotated } from './rotated.ts';
import { packedWebGpu } from './wgsl/lowering.wgsl.ts';

/** With score functions it is their own, and equal ones have equal attributes: these say what the functions compute. */
const packedAttentionOf = (functions?: TracedFunctions): Op<PackedAttributes> =>
  defineOp({
    name: functions ? 'packedAttentionWithFunctions' : 'packedAttention',
    ...(functions && { key: 'of functions' }),
    shape: checkPacked,
    decompose: (inputs, attributes) => decomposePacked(inputs, attributes, functions),
    lower: { reference: packedReference, onnx: packedOnnx, webgpu: packedWebGpu(functions) },
  });
const packedAttentionOp = packedAttentionOf();

/** What a packed attention is recorded with. */
interface Arguments {
  /** Those with names, then what the functions captured. */
  readonly inputs: readonly Tensor[];
  readonly attributes: PackedAttributes;
  readonly functions: TracedFunctions | undefined;
}

function argumentsOf(call: PackedCall): Arguments {
  const { inputs, attributes } = packedArguments(call);
  checkPacked(inputs, attributes);
  const { scoreMod, maskMod } = call.spec;
  if (!scoreMod && !maskMod) return { inputs, attributes, functions: undefined };
  const functions = traceFunctions('attend', call.q.device, packedPlaceShapes(inputs, attributes), call.spec);
  return {
    inputs: [...inputs, ...functions.captured],
    attributes: { ...attributes, functions: functions.key },
    functions,
  };
}

/** Output and, where it is asked for, log-sum-exp, in tensor operations. */
export function decomposedAttention(call: PackedCall): readonly Tensor[] {
  checkAttend('attend', call);
  if (call.kv?.rotated) return overRotated(call, decomposedAttention);
  const { inputs, attributes, functions } = argumentsOf(call);
  return ofNoRows(inputs, attributes) ?? decomposePacked(inputs, attributes, functions);
}

/** The same as one operation. */
export function packedAttention(call: PackedCall): readonly Tensor[] {
  checkAttend('attend', call);
  if (call.kv?.rotated) return overRotated(call, packedAttention);
  const { inputs, attributes, functions } = argumentsOf(call);
  const op = functions ? packedAttentionOf(functions) : packedAttentionOp;
  return ofNoRows(inputs, attributes) ?? record(op, inputs, attributes);
}

/** What comes of no rows, where it is known that there are none. */
function ofNoRows(inputs: readonly Tensor[], attributes: PackedAttributes): readonly Tensor[] | undefined {
  const { T, H, V } = packedSizes(inputs, attributes);
  if (T !== 0) return undefined;
  const { device, dtype } = inputs[0]!;
  return [full(device, [0, H, V], 0, dtype), ...(attributes.lse ? [full(device, [0, H], 0, 'f32')] : [])];
}
