import type { AttentionKernel } from '@heddle/attention';
import type { KvBatch, KvCache } from '@heddle/kvcache';
import {
  type CompiledFunction,
  compile,
  less,
  maximum,
  type SymbolValues,
  sub,
  type Tensor,
  take,
  type Update,
  type Variable,
  where,
} from '@heddle/tensor';
import type { CausalLm } from '../models/causal-lm.ts';

interface StepInputs {
  readonly tokens: Tensor;
  readonly positions: Tensor;
  readonly segments: Tensor;
  readonly rows: Tensor;
  /** The cache's own. */
  readonly cache: Readonly<Record<string, Tensor>>;
  /** Only where the model looks at it. */
  readonly sequenceLengths?: Tensor;
}
interface StepOutputs {
  readonly logits: Tensor;
  readonly updates: readonly Update[];
}

/** Host values of one step beside what the cache lays out: token rows of all its sequences, one after the other. */
export interface StepRows {
  /** Token ids, or -1 - lane for the token that the device has chosen for a lane last. */
  readonly tokens: Int32Array;
  /** The rows whose logits are wanted, `[R]`. */
  readonly rows: Int32Array;
  /** How long the sequence of each row is; needed where the model has `lengthScaling`. */
  readonly sequenceLengths: Int32Array;
}

/** One plan for the forward passes of an engine's steps, prefill and decoding alike; logits stay on the device. */
export class ForwardStep {
  readonly #plan: CompiledFunction<[StepInputs], StepOutputs>;
  readonly #byLength: boolean;

  /** @param chosen i32, by lane: the tokens that were chosen last */
  constructor(model: CausalLm, attention: AttentionKernel, cache: KvCache, chosen: Variable, maxBatchTokens: number) {
    const i32 = (size: string) => ({ shape: [size], dtype: 'i32' as const });
    this.#byLength = model.lengthScaling !== undefined;
    this.#plan = compile(
      ({ cache: inputs, tokens, ...rows }: StepInputs): StepOutputs => {
        const { logits, updates } = model.forward({
          ...rows,
          tokens: withChosen(tokens, chosen),
          kv: cache.bind(inputs),
          attention,
        });
        return { logits, updates };
      },
      {
        device: model.device,
        name: 'engine step',
        inputs: [
          {
            tokens: i32('T'),
            positions: i32('T'),
            segments: i32('T'),
            rows: i32('R'),
            cache: cache.inputs,
            ...(this.#byLength && { sequenceLengths: i32('T') }),
          },
        ],
        symbols: { ...cache.symbols, T: maxBatchTokens, R: cache.maxSequences },
      },
    );
  }

  /** Logits f32 `[R, V]` of the wanted rows, until the next run. */
  async run(
    { tokens, rows, sequenceLengths }: StepRows,
    { inputs, positions, segments, sizes }: KvBatch,
  ): Promise<Tensor> {
    const lengths = this.#byLength && { sequenceLengths };
    const { logits } = await this.#plan.run([{ tokens, positions, segments, rows, cache: inputs, ...lengths }], {
      symbols: sizes,
    });
    return logits;
  }

  /** Compiles and allocates for steps of these sizes. */
  prepare(sizes: readonly SymbolValues[]): Promise<void> {
    return this.#plan.warm({ buckets: sizes });
  }

  explain(): string {
    return this.#plan.explain();
  }
  dispose(): void {
    this.#plan.dispose();
  }
}

/** Token ids with those of lanes in their places; where a lane had no usable logits, any token. */
function withChosen(tokens: Tensor, chosen: Variable): Tensor {
  const last = take(chosen, maximum(sub(-1, tokens), 0));
  return maximum(where(less(tokens, 0), last, tokens), 0);
}
