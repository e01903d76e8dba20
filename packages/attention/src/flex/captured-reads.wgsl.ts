import { full, gradients, type KernelNames, record, type Tensor, type TensorType } from '@heddle/tensor';
import { type DenseAttributes, extrasOf, sizesOf } from '../dense/arguments.ts';
import { broadcastPlace } from '../dense/wgsl/scores.wgsl.ts';
import { isWritable, NoText, write } from './emit.wgsl.ts';
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
    const sizes = sizesOf(inputs);
    const tensor = functions!.captured[index]!;
    const found = readsAndFactors(functions!, tensor);
    if (!found) return undefined;
    const { standIns, factors } = found;
    const text = (names: KernelNames) =>
      [...standIns]
        .map(([, read], i) => {
          const place = write(names, functions!, sizes, read, { placeOf: tensor });
          const factor = write(names, functions!, sizes, factors[i]!, { standIns });
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
    if (error instanceof NoText) return undefined;
    throw error;
  }
}

/** Operations that give values of their first input as they are. */
const moving = new Set(['take', 'reshape', 'permute', 'expand', 'identity']);

/**
 * The score function with stand-ins `[B, H, L, S]` for what is read of a captured tensor; from there on its operations are
 * functions of single values. @throws NoText
 */
function withReads(
  { score, standIns }: TracedFunctions,
  captured: Tensor,
): { readonly score: Tensor; readonly standIns: ReadonlyMap<Tensor, Tensor> } {
  const [like] = [...standIns].find(([, name]) => name === 'score')!;
  const reads = new Map<Tensor, Tensor>();
  const done = new Map<Tensor, Tensor>();
  const isRead = (tensor: Tensor): boolean =>
    tensor === captured || (moving.has(tensor.node.op.name) && isRead(tensor.node.inputs[0]!));
  const rewrite = (tensor: Tensor): Tensor => {
    let found = done.get(tensor);
    if (!found) {
      found = rewritten(tensor);
      done.set(tensor, found);
    }
    return found;
  };
  const rewritten = (tensor: Tensor): Tensor => {
    if (standIns.has(tensor)) return tensor;
    if (isRead(tensor)) {
      const standIn = full(like.device, like.shape, 0, tensor.dtype);
      reads.set(standIn, tensor);
      return standIn;
    }
    const { op, inputs, attributes } = tensor.node;
    const own = inputs.map(rewrite);
    if (own.every((input, i) => input === inputs[i])) return tensor;
    const lowering = op.lower?.webgpu;
    if (!lowering && op.decompose) return rewrite(op.decompose(inputs, attributes)[tensor.outputIndex]!);
    if (!lowering || !('expression' in lowering)) throw new NoText();
    return record(op, own, attributes)[tensor.outputIndex]!;
  };
  return { score: rewrite(score!), standIns: reads };
}
