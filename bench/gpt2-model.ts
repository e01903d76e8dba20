import { attention } from '@heddle/attention';
import {
  type Device,
  foldKey,
  gelu,
  layerNorm,
  linearCrossEntropy,
  randomKey,
  randomNormal,
  slice,
  type Tensor,
  take,
  type Variable,
} from '@heddle/tensor';
import type { ForwardContext } from '@heddle/trainer';

/** Sizes of a GPT-2: V tokens of the vocabulary, P places, E wide, N blocks of H heads. */
export interface Gpt2Shape {
  readonly V: number;
  readonly P: number;
  readonly E: number;
  readonly N: number;
  readonly H: number;
}

/** GPT-2 124M, its vocabulary of 50,257 made a multiple of 64. */
export const gpt2Small: Gpt2Shape = { V: 50_304, P: 1024, E: 768, N: 12, H: 12 };

/** Tokens and those that follow them, i32 `[B, L]`. */
export interface TokenBatch {
  readonly tokens: Tensor;
  readonly targets: Tensor;
}

/** A GPT-2 whose forward pass is its loss: the logits never exist as a whole. */
export interface Gpt2 {
  readonly parameters: Readonly<Record<string, Variable>>;
  forward(batch: TokenBatch, context?: ForwardContext): Tensor;
}

/** The shapes of its weights by their names in GPT-2's own files; matrices are `[In, Out]`. */
export function gpt2Weights({ V, P, E, N }: Gpt2Shape): Record<string, readonly number[]> {
  const shapes: Record<string, readonly number[]> = { 'wte.weight': [V, E], 'wpe.weight': [P, E] };
  const add = (name: string, ...shape: number[]) => {
    shapes[`${name}.weight`] = shape;
    shapes[`${name}.bias`] = shape.slice(-1);
  };
  for (let i = 0; i < N; i++) {
    add(`h.${i}.ln_1`, E);
    add(`h.${i}.attn.c_attn`, E, 3 * E);
    add(`h.${i}.attn.c_proj`, E, E);
    add(`h.${i}.ln_2`, E);
    add(`h.${i}.mlp.c_fc`, E, 4 * E);
    add(`h.${i}.mlp.c_proj`, 4 * E, E);
  }
  add('ln_f', E);
  return shapes;
}

/** A GPT-2 with the given weights, tied embeddings, and the rows of logits that are there at a time. */
export function gpt2(shape: Gpt2Shape, weights: Readonly<Record<string, Variable>>, chunkRows?: number): Gpt2 {
  const { E, N, H } = shape;
  const of = (name: string) => weights[name]!;
  const norm = (x: Tensor, name: string) => layerNorm(x, of(`${name}.weight`), of(`${name}.bias`));
  const linear = (x: Tensor, name: string) => x.matmul(of(`${name}.weight`)).add(of(`${name}.bias`));
  return {
    parameters: weights,
    forward({ tokens, targets }, context) {
      const [B, L] = tokens.shape as [number, number];
      let x = take(of('wte.weight'), tokens).add(slice(of('wpe.weight'), 0, 0, L));
      const block = (i: number) => (hidden: Tensor) => {
        const qkv = linear(norm(hidden, `h.${i}.ln_1`), `h.${i}.attn.c_attn`).reshape([B, L, 3, H, E / H]);
        const [q, k, v] = [0, 1, 2].map((part) => slice(qkv, 2, part, part + 1).reshape([B, L, H, E / H]));
        const heads = attention(q!, k!, v!, { causal: true }).reshape([B, L, E]);
        const mixed = hidden.add(linear(heads, `h.${i}.attn.c_proj`));
        const wide = gelu(linear(norm(mixed, `h.${i}.ln_2`), `h.${i}.mlp.c_fc`), { approximate: 'tanh' });
        return mixed.add(linear(wide, `h.${i}.mlp.c_proj`));
      };
      const blocks = Array.from({ length: N }, (_, i) => block(i));
      x = context ? context.blocks(x, blocks) : blocks.reduce((hidden, run) => run(hidden), x);
      return linearCrossEntropy(norm(x, 'ln_f'), of('wte.weight'), targets, chunkRows ? { chunkRows } : {});
    },
  };
}

/** Weights as GPT-2 begins with: normal of 0.02, less on the way back into the residual stream; made on the device. */
export async function randomGpt2Weights(
  device: Device,
  shape: Gpt2Shape,
  dtype: 'f32' | 'f16' = 'f32',
  seed = 1,
): Promise<Record<string, Variable>> {
  const weights: Record<string, Variable> = {};
  for (const [at, [name, size]] of Object.entries(gpt2Weights(shape)).entries()) {
    const variable = device.zeroVariable(size, { name, dtype });
    weights[name] = variable;
    if (name.endsWith('.bias')) continue;
    const deviation = name.includes('c_proj') ? 0.02 / Math.sqrt(2 * shape.N) : 0.02;
    const value = name.includes('ln_')
      ? device.ones(size)
      : randomNormal(device, size, foldKey(randomKey(device, seed), at)).mul(deviation);
    await device.realize([], [variable.assign(value.cast(dtype))]);
  }
  return weights;
}
