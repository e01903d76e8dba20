import {
  type CompiledFunction,
  compile,
  gelu,
  relu,
  rsqrt,
  sigmoid,
  silu,
  square,
  type Tensor,
  tanh,
  type Variable,
} from '@heddle/tensor';
import type { CausalLm } from '../models/causal-lm.ts';
import type { DenseModule, EmbeddingModules } from './modules.ts';
import { poolingWeights } from './pooling.ts';

interface Inputs {
  /** i32 `[B, L]` */
  readonly tokens: Tensor;
  /** i32 `[B, L]`: 0, and -1 behind the end of a text. */
  readonly segments: Tensor;
  /** f32 `[B, P, L]`: how much each token counts in each pooled vector. */
  readonly weights: Tensor;
  /** i32 `[B, L]`, only where the model looks at it. */
  readonly sequenceLengths?: Tensor;
}
type Step = CompiledFunction<[Inputs], Tensor>;

/** Texts of one batch. */
const maxTexts = 32;

const activations: Readonly<Record<DenseModule['activation'], (x: Tensor) => Tensor>> = {
  none: (x) => x,
  tanh,
  relu,
  sigmoid,
  gelu: (x) => gelu(x),
  silu,
};

/** A text as tokens, of which the first `skipped` do not count. */
export interface EmbeddedText {
  readonly tokens: readonly number[];
  readonly skipped: number;
}

/** One plan from the tokens of texts to their vectors. */
export class EmbeddingStep {
  readonly #model: CausalLm;
  readonly #modules: EmbeddingModules;
  readonly #dense: readonly { readonly weight: Variable; readonly bias: Variable | undefined }[];
  #step: Step | undefined;

  constructor(model: CausalLm, modules: EmbeddingModules) {
    this.#model = model;
    this.#modules = modules;
    const { device } = model;
    this.#dense = modules.dense.map(({ inSize, outSize, weight, bias }, i) => {
      const transposed = new Float32Array(weight.length);
      for (let o = 0; o < outSize; o++)
        for (let j = 0; j < inSize; j++) transposed[j * outSize + o] = weight[o * inSize + j]!;
      const own = { name: `dense ${i}`, frozen: true, owner: 'embedding' };
      return {
        weight: device.variable(transposed, { ...own, shape: [inSize, outSize] }),
        bias: bias && device.variable(bias, { ...own, shape: [outSize] }),
      };
    });
  }

  /** How many texts of this length go together, where a batch takes so many tokens. */
  static textsOf(length: number, tokens = 8192): number {
    return Math.max(1, Math.min(maxTexts, Math.floor(tokens / length)));
  }

  /** Vectors of texts, at most 32: f32 `[B, D]`. */
  async run(texts: readonly EmbeddedText[]): Promise<Float32Array> {
    const { poolings } = this.#modules;
    const B = texts.length;
    const L = Math.max(...texts.map(({ tokens }) => tokens.length));
    const P = poolings.length;
    const tokens = new Int32Array(B * L);
    const segments = new Int32Array(B * L).fill(-1);
    const sequenceLengths = new Int32Array(B * L);
    const weights = new Float32Array(B * P * L);
    for (const [b, text] of texts.entries()) {
      const { length } = text.tokens;
      tokens.set(text.tokens, b * L);
      segments.fill(0, b * L, b * L + length);
      sequenceLengths.fill(length, b * L, (b + 1) * L);
      for (const [p, pooling] of poolings.entries()) {
        const start = (b * P + p) * L;
        poolingWeights(pooling, length, text.skipped, weights.subarray(start, start + L));
      }
    }
    this.#step ??= this.#compile();
    const rows = (data: Int32Array) => ({ data, shape: [B, L] });
    const vectors = await this.#step({
      tokens: rows(tokens),
      segments: rows(segments),
      weights: { data: weights, shape: [B, P, L] },
      ...(this.#model.lengthScaling && { sequenceLengths: rows(sequenceLengths) }),
    });
    return (await vectors.data()) as Float32Array;
  }

  dispose(): void {
    this.#step?.dispose();
    for (const { weight, bias } of this.#dense) {
      weight.dispose();
      bias?.dispose();
    }
  }

  #compile(): Step {
    const model = this.#model;
    const { config, device } = model;
    const P = this.#modules.poolings.length;
    const i32 = { shape: ['B', 'L'], dtype: 'i32' } as const;
    return compile(
      ({ tokens, segments, weights, sequenceLengths }: Inputs) => {
        const last = config.layers;
        const pass = { tokens, segments, hidden: [last], ...(sequenceLengths && { sequenceLengths }) };
        const states = model.forward(pass).hidden[0]!;
        const [B] = tokens.shape;
        return this.#finish(weights.matmul(states).reshape([B!, P * config.hiddenSize]));
      },
      {
        device,
        inputs: [
          {
            tokens: i32,
            segments: i32,
            weights: { shape: ['B', P, 'L'] },
            ...(model.lengthScaling && { sequenceLengths: i32 }),
          },
        ],
        symbols: { B: maxTexts, L: config.maxPositions },
        name: 'embedding',
      },
    );
  }

  #finish(pooled: Tensor): Tensor {
    const { dense, normalized } = this.#modules;
    let x = pooled;
    for (const [i, { activation }] of dense.entries()) {
      const { weight, bias } = this.#dense[i]!;
      const y = x.matmul(weight);
      x = activations[activation](bias ? y.add(bias) : y);
    }
    return normalized ? x.mul(rsqrt(square(x).sum(-1, { keepDims: true }).maximum(1e-24))) : x;
  }
}
