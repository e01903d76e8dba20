import { defineOp, type Op, record, recordOne, type Tensor } from '@heddle/tensor';
import { attentionOnnx } from './attention.onnx.ts';
import { attentionWebGpu } from './attention.wgsl.ts';
import type { AttentionSpec } from './attention-spec.ts';
import { checkDense, type DenseAttributes, denseArguments } from './dense-arguments.ts';
import { decomposeDense } from './dense-decomposition.ts';
import { denseGradients } from './dense-gradients.ts';
import { type TracedFunctions, traceFunctions } from './score-functions.ts';

/** Output and log-sum-exp. */
const attentionWithLseOp: Op<DenseAttributes> = defineOp({
  name: 'attentionWithLse',
  shape(inputs, attributes) {
    const { B, H, L } = checkDense(inputs, attributes);
    return [inputs[0]!, { shape: [B, H, L], dtype: 'f32' }];
  },
  gradient: (context) =>
    denseGradients(context, context.outputs[0]!, context.outputs[1]!, ...(context.outputGradients as [Tensor, Tensor])),
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
    const [, logSumExp] = record(attentionWithLseOp, context.inputs, context.attributes);
    return denseGradients(context, context.outputs[0]!, logSumExp!, context.outputGradients[0], undefined);
  },
  decompose: (inputs, attributes) => record(attentionWithLseOp, inputs, attributes).slice(0, 1),
  lower: { onnx: attentionOnnx },
});

/** An attention with score functions, which are its own; equal ones have equal attributes. */
function withFunctions(functions: TracedFunctions): Op<DenseAttributes & { readonly functions: string }> {
  return defineOp({
    name: 'attentionWithFunctions',
    shape: attentionWithLseOp.shape,
    decompose: (inputs, attributes) => decomposeDense(inputs, attributes, functions),
    lower: { webgpu: attentionWebGpu(functions) },
  });
}

/** Output and log-sum-exp with the spec's score functions; undefined where it has none. */
function functionAttention(q: Tensor, k: Tensor, v: Tensor, spec: AttentionSpec): readonly Tensor[] | undefined {
  if (!spec.scoreMod && !spec.maskMod) return undefined;
  const { inputs, attributes } = denseArguments(q, k, v, spec);
  const functions = traceFunctions(q.device, checkDense(inputs, attributes), spec.scoreMod, spec.maskMod);
  return record(withFunctions(functions), [...inputs, ...functions.captured], {
    ...attributes,
    functions: functions.key,
  });
}

/**
 * Softmax attention: softmax(scale * q k^T) v for each head.
 *
 * @param q `[B, L, H, D]`, f32 or f16
 * @param k `[B, S, K, D]`, f32 or f16, H a multiple of K: H = K is multi-head, K = 1 multi-query, between them grouped-query
 *   attention, without a copy of k and v
 * @param v the shape and dtype of k
 * @returns `[B, L, H, D]` in the dtype of q, computed in f32; 0 for queries that see no key. Differentiable by q, k, v and the
 *   spec's float tensors.
 * @throws ShapeError, DTypeError, ArgumentError
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, spec: AttentionSpec = {}): Tensor {
  const own = functionAttention(q, k, v, spec);
  if (own) return own[0]!;
  const { inputs, attributes } = denseArguments(q, k, v, spec);
  return recordOne(attentionOp, inputs, attributes);
}

/**
 * `attention` with the log-sum-exp of the scores, f32 `[B, H, L]` (sinks included; -1e30 for queries that see no key): what
 * `mergeAttention` joins.
 */
export function attentionWithLse(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  spec: AttentionSpec = {},
): { readonly out: Tensor; readonly lse: Tensor } {
  const { inputs, attributes } = denseArguments(q, k, v, spec);
  const [out, lse] = functionAttention(q, k, v, spec) ?? record(attentionWithLseOp, inputs, attributes);
  return { out: out!, lse: lse! };
}
