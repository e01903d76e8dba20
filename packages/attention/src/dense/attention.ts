import { calledAs, checkArguments, defineOp, full, type Op, record, recordOne, type Tensor } from '@heddle/tensor';
import { maskBlocks } from '../flex/block-mask.ts';
import { differentiated } from '../flex/derivatives.ts';
import { type TracedFunctions, traceFunctions } from '../flex/trace.ts';
import { checkDense, type DenseAttributes, denseArguments, extrasOf, sizesOf } from './arguments.ts';
import type { AttentionSpec } from './attention-spec.ts';
import { denseGradients, gradientOps, plane } from './backward.ts';
import { decomposeDense } from './decomposition.ts';
import { keyMassOp } from './heavy-hitter-score.ts';
import { lowestScore } from './mask-value.ts';
import { attentionOnnx } from './onnx/attention.onnx.ts';
import { placeShapes } from './places.ts';
import { attentionWebGpu } from './wgsl/forward.wgsl.ts';

const plainGradients = gradientOps();

/**
 * Output, and in one tensor, f32 `[2, B, H, L]`, the highest score of each query and the logarithm of the sum of what its scores
 * are below it: their sum is the log-sum-exp, but where scores are huge it has lost the second.
 */
const attentionWithLseOp: Op<DenseAttributes> = defineOp({
  name: 'attentionWithLse',
  shape(inputs, attributes) {
    const { B, H, L } = checkDense(inputs, attributes);
    return [inputs[0]!, { shape: [2, B, H, L], dtype: 'f32' }];
  },
  gradient: (context) => denseGradients(context, context.outputs, context.outputGradients, plainGradients),
  decompose: decomposeDense,
  lower: { webgpu: attentionWebGpu() },
});

/** The output alone, for executors that have an operator without log-sum-exp; gradients find it by the operation with one. */
const attentionOp: Op<DenseAttributes> = defineOp({
  name: 'attention',
  shape(inputs, attributes) {
    checkDense(inputs, attributes);
    return [inputs[0]!];
  },
  gradient(context) {
    const [, softmax] = record(attentionWithLseOp, context.inputs, context.attributes);
    return denseGradients(context, [context.outputs[0]!, softmax!], context.outputGradients, plainGradients);
  },
  decompose: (inputs, attributes) => record(attentionWithLseOp, inputs, attributes).slice(0, 1),
  lower: { onnx: attentionOnnx },
});

type FunctionAttributes = DenseAttributes & { readonly functions: string };

/** An attention with score functions, which are its own; equal ones have equal attributes. */
function withFunctions(functions: TracedFunctions): Op<FunctionAttributes> {
  return defineOp({
    name: 'attentionWithFunctions',
    // its attributes say what the functions compute
    key: 'of functions',
    shape: attentionWithLseOp.shape,
    gradient: (context) =>
      denseGradients(context, context.outputs, context.outputGradients, gradientOps(differentiated(functions))),
    decompose: (inputs, attributes) => decomposeDense(inputs, attributes, functions),
    lower: { webgpu: attentionWebGpu(functions) },
  });
}

/** What the operations of an attention are recorded with. */
interface Arguments {
  readonly inputs: readonly Tensor[];
  readonly attributes: DenseAttributes | FunctionAttributes;
  readonly functions: TracedFunctions | undefined;
}

function argumentsOf(q: Tensor, k: Tensor, v: Tensor, spec: AttentionSpec): Arguments {
  const { inputs, attributes } = denseArguments(q, k, v, spec);
  if (!spec.scoreMod && !spec.maskMod) return { inputs, attributes, functions: undefined };
  const sizes = checkDense(inputs, attributes);
  const functions = traceFunctions('attention', q.device, placeShapes(sizes), spec);
  const blocks = maskBlocks(q.device, functions, sizes);
  return {
    inputs: [...inputs, ...(blocks ? [blocks] : []), ...functions.captured],
    attributes: {
      ...attributes,
      extras: [...attributes.extras, ...(blocks ? ['blocks' as const] : [])],
      functions: functions.key,
    },
    functions,
  };
}

/** What attention over nothing gives, where a size is known to be 0; undefined otherwise. */
function attentionOverNothing({ inputs, attributes }: Arguments): { out: Tensor; lse: Tensor } | undefined {
  const { B, L, S, H } = sizesOf(inputs);
  if (![B, L, S].includes(0)) return undefined;
  checkDense(inputs, attributes);
  const { device, shape, dtype } = inputs[0]!;
  const { sinks } = extrasOf(inputs, attributes);
  const logits = sinks?.reshape([1, H, 1]).expand([B, H, L]);
  return { out: full(device, shape, 0, dtype), lse: logits ?? full(device, [B, H, L], lowestScore, 'f32') };
}

/** Output, and highest scores and logarithms of sums, as the operation gives them. */
function recordBoth({ inputs, attributes, functions }: Arguments): readonly [out: Tensor, softmax: Tensor] {
  const [out, softmax] = functions
    ? record(withFunctions(functions), inputs, attributes as FunctionAttributes)
    : record(attentionWithLseOp, inputs, attributes);
  return [out!, softmax!];
}

const logSumExpOf = (softmax: Tensor): Tensor => plane(softmax, 0).add(plane(softmax, 1));

/**
 * Softmax attention: softmax(scale * q k^T) v for each head.
 *
 * @param q `[B, L, H, D]`, f32 or f16; PyTorch's `[B, H, L, D]` is brought over with `permute([0, 2, 1, 3])`
 * @param k `[B, S, K, D]`, f32 or f16, H a multiple of K: H = K is multi-head, K = 1 multi-query, between them grouped-query
 *   attention, without a copy of k and v
 * @param v the shape and dtype of k
 * @returns `[B, L, H, D]` in the dtype of q, computed in f32; 0 for queries that see no key. Differentiable with respect to q, k, v and the
 *   spec's float tensors. Keys and values that a query does not attend to never change its output, also if they are NaN or infinite.
 *   The output of a query that attends to such a value is not finite; which of its D values, and their signs, may differ
 *   between executors.
 * @throws ShapeError, DTypeError, ArgumentError
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, spec: AttentionSpec = {}): Tensor {
  checkArguments('attention', 'tensor', { q, k, v });
  checkArguments('attention', 'object', { spec });
  return calledAs('attention', () => {
    const arguments_ = argumentsOf(q, k, v, spec);
    const nothing = attentionOverNothing(arguments_);
    if (nothing) return nothing.out;
    if (arguments_.functions) return recordBoth(arguments_)[0];
    return recordOne(attentionOp, arguments_.inputs, arguments_.attributes);
  });
}

/**
 * `attention` with the log-sum-exp of the scores, f32 `[B, H, L]` (sinks included; the lowest f32 for queries that see no key): what
 * `mergeAttention` joins.
 */
export function attentionWithLse(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  spec: AttentionSpec = {},
): { readonly out: Tensor; readonly lse: Tensor } {
  checkArguments('attentionWithLse', 'tensor', { q, k, v });
  checkArguments('attentionWithLse', 'object', { spec });
  return calledAs('attentionWithLse', () => {
    const call = argumentsOf(q, k, v, spec);
    const nothing = attentionOverNothing(call);
    if (nothing) return nothing;
    const [out, softmax] = recordBoth(call);
    return { out, lse: logSumExpOf(softmax) };
  });
}

/**
 * `attentionWithLse` with the probability that each key gets, f32 `[B, S, K]`: summed over the L queries and the H / K heads of its
 * group, before dropout. For caches that keep the keys that matter (https://arxiv.org/abs/2306.14048). A second pass over
 * the keys, which holds no scores where attention itself holds none.
 */
export function attentionWithMass(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  spec: AttentionSpec = {},
): { readonly out: Tensor; readonly lse: Tensor; readonly mass: Tensor } {
  checkArguments('attentionWithMass', 'tensor', { q, k, v });
  checkArguments('attentionWithMass', 'object', { spec });
  return calledAs('attentionWithMass', () => {
    const own = argumentsOf(q, k, v, spec);
    const { B, S, K } = sizesOf(own.inputs);
    const nothing = attentionOverNothing(own);
    if (nothing) return { ...nothing, mass: full(q.device, [B, S, K], 0, 'f32') };
    const [out, softmax] = recordBoth(own);
    const mass = recordOne(keyMassOp(own.functions), [...own.inputs, softmax], own.attributes);
    return { out, lse: logSumExpOf(softmax), mass };
  });
}
