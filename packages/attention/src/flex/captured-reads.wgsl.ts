import {
  full,
  gradients,
  type KernelNames,
  type Node,
  NoExpressionError,
  type PointwiseContext,
  record,
  rewriteGraph,
  type Tensor,
  type TensorType,
} from '@heddle/tensor';
import { type DenseAttributes, extrasOf, sizesOf } from '../dense/arguments.ts';
import { broadcastPlace } from '../dense/wgsl/scores.wgsl.ts';
import { anyNames, densePlace, isWritable, write } from './emit.wgsl.ts';
import type { TracedFunctions } from './trace.ts';

/**
 * Where scores read a tensor: WGSL functions `place_0(query, key) -> u32`, ... of the read values, and
 * `factor_0(score, query, key) -> f32`, ..., what a score changes by where the read value changes by one (`score`: before the
 * score function).
 */
export interface ScoreReads {
  readonly tensor: TensorType;
  readonly count: number;
  text(names: KernelNames): string;
}

export type ReadsOf = (
  inputs: readonly TensorType[],
  attributes: DenseAttributes,
  functions: TracedFunctions | undefined,
) => ScoreReads | undefined;

const oneRead = (
  tensor: TensorType,
  place: (names: KernelNames) => string,
  factor: string,
  functions: TracedFunctions | undefined,
) => ({
  tensor,
  count: 1,
  text: (names: KernelNames) => `
fn place_0(query: Query, key: u32) -> u32 { return ${place(names)}; }
fn factor_0(score: f32, query: Query, key: u32) -> f32 { return ${factor}${functions?.slopes ? ' * score_and_slope(score, query, key).y' : ''}; }`,
});

export const biasReads: ReadsOf = (inputs, attributes, functions) => {
  const bias = extrasOf(inputs, attributes).bias!;
  const { B, L, S, H } = sizesOf(inputs);
  const place = (names: KernelNames) =>
    broadcastPlace(names, bias.shape, [B, H, L, S], ['batch', 'query.head', 'query.row', 'key']);
  return oneRead(bias, place, '1.0', functions);
};

export const slopeReads: ReadsOf = (inputs, attributes, functions) =>
  oneRead(extrasOf(inputs, attributes).slopes!, () => 'query.head', '-f32(abs(query.position - i32(key)))', functions);

/** Undefined where the tensor is read in another way than value by value. */
export const capturedReads =
  (index: number): ReadsOf =>
  (inputs, _, functions) => {
    const at = densePlace(sizesOf(inputs));
    const tensor = functions!.captured[index]!;
    const found = readsAndFactors(functions!, tensor);
    if (!found) return undefined;
    const { standIns, factors } = found;
    const text = (names: KernelNames) =>
      [...standIns]
        .map(([, read], i) => {
          const place = write(names, functions!, at, read, { placeOf: tensor });
          const factor = write(names, functions!, at, factors[i]!, { standIns });
          return `
fn place_${i}(query: Query, key: u32) -> u32 {\n${place.statements}\n  return ${place.value};\n}
fn factor_${i}(score: f32, query: Query, key: u32) -> f32 {\n${factor.statements}\n  return ${factor.value};\n}`;
        })
        .join('');
    return isWritable(text) ? { tensor, count: standIns.size, text } : undefined;
  };

/** What is read of a captured tensor, and what the score changes by where it changes by one; undefined where it is no read. */
function readsAndFactors(functions: TracedFunctions, tensor: Tensor) {
  try {
    const { score, standIns } = withReads(functions, tensor);
    return { standIns, factors: gradients(score.sum(), [...standIns.keys()]) };
  } catch (error) {
    if (error instanceof NoExpressionError) return undefined;
    throw error;
  }
}

/**
 * The score function with stand-ins `[B, H, L, S]` for what is read of a captured tensor; from there on its operations are
 * functions of single values. @throws NoExpressionError
 */
function withReads(
  { score, standIns }: TracedFunctions,
  captured: Tensor,
): { readonly score: Tensor; readonly standIns: ReadonlyMap<Tensor, Tensor> } {
  const [like] = [...standIns].find(([, name]) => name === 'score')!;
  const reads = new Map<Tensor, Tensor>();
  const isRead = (tensor: Tensor): boolean =>
    tensor === captured || (passesValuesOn(tensor) && isRead(tensor.node.inputs[0]!));
  const [found] = rewriteGraph([score!], {
    replace(tensor) {
      if (standIns.has(tensor)) return { tensor };
      if (isRead(tensor)) {
        const standIn = full(like.device, like.shape, 0, tensor.dtype);
        reads.set(standIn, tensor);
        return { tensor: standIn };
      }
      const { op, inputs, attributes } = tensor.node;
      // what has a gradient of its own keeps it
      if (op.lower?.webgpu || !op.decompose || op.gradient) return undefined;
      return { tensor: op.decompose(inputs, attributes)[tensor.outputIndex]!, isRewritten: true };
    },
    rebuild(node, inputs) {
      const lowering = node.op.lower?.webgpu;
      const isOfValues = lowering ? 'expression' in lowering : isItsInput(node);
      if (!isOfValues) throw new NoExpressionError(node.op.name);
      return record(node.op, inputs, node.attributes);
    },
  });
  return { score: found!, standIns: reads };
}

/** Whether an operation is by definition its first input. */
const isItsInput = ({ op, inputs, attributes }: Node): boolean =>
  op.lower?.webgpu === undefined && op.decompose?.(inputs, attributes)[0] === inputs[0];

/** Whether values of a result are values of the first input as they are, at other places, and so is the gradient. */
function passesValuesOn(output: Tensor): boolean {
  const { node } = output;
  const { op, inputs, outputs, attributes } = node;
  if (inputs[0]?.dtype !== output.dtype || outputs.length > 1 || !(isItsInput(node) || readsItsInput(output)))
    return false;
  if (!op.gradient) return true;
  const needs = inputs.map(() => true);
  return op.gradient({ inputs, outputs, outputGradients: outputs, needs, attributes })[0] !== undefined;
}

/** Whether what an operation writes for a value is a read of its first input and nothing else. */
function readsItsInput(output: Tensor): boolean {
  const { op, inputs, attributes } = output.node;
  const lowering = op.lower?.webgpu;
  if (!lowering || !('at' in lowering)) return false;
  const context: PointwiseContext<unknown> = {
    attributes,
    inputs,
    output,
    read: (index) => `input${index}`,
    dim: () => 'size',
    let: (expression) => expression,
    prelude: anyNames.prelude,
  };
  return (
    lowering.at(
      context,
      output.shape.map((_, axis) => `place${axis}`),
    ) === 'input0'
  );
}
