import type { AttentionKernel } from '@heddle/attention';
import type { KvBatch, KvCache } from '@heddle/kvcache';
import { type CompiledFunction, compile, type Tensor, type Update } from '@heddle/tensor';
import type { CausalLm } from '../models/causal-lm.ts';
import { bestTokens } from './best-tokens.ts';

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
  readonly best: Tensor;
  readonly updates: readonly Update[];
}

/** Host values of one step beside what the cache lays out: token rows of all its sequences, one after the other. */
export interface StepRows {
  readonly tokens: Int32Array;
  /** The rows whose logits are wanted, `[R]`. */
  readonly rows: Int32Array;
  /** How long the sequence of each row is; needed where the model has `lengthScaling`. */
  readonly sequenceLengths?: Int32Array;
}

/** One plan for every step of an engine, prefill and decoding alike: forward pass, cache writes, most likely tokens. */
export class ModelStep {
  readonly #plan: CompiledFunction<[StepInputs], StepOutputs>;
  readonly #byLength: boolean;

  constructor(model: CausalLm, attention: AttentionKernel, cache: KvCache, maxBatchTokens: number) {
    const i32 = (size: string) => ({ shape: [size], dtype: 'i32' as const });
    this.#byLength = model.lengthScaling !== undefined;
    this.#plan = compile(
      ({ cache: inputs, ...rows }: StepInputs): StepOutputs => {
        const { logits, updates } = model.forward({ ...rows, kv: cache.bind(inputs), attention });
        return { logits, best: bestTokens(logits), updates };
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

  /** Logits `[R, V]` and most likely tokens `[R]` of the wanted rows; both until the next run. */
  run(
    { tokens, rows, sequenceLengths }: StepRows,
    { inputs, positions, segments, sizes }: KvBatch,
  ): Promise<{ readonly logits: Tensor; readonly best: Tensor }> {
    const lengths = this.#byLength && { sequenceLengths: sequenceLengths! };
    return this.#plan.run([{ tokens, positions, segments, rows, cache: inputs, ...lengths }], { symbols: sizes });
  }

  /** Compiles and allocates for steps of one sequence with so many rows. */
  prepare(rows: number): Promise<void> {
    return this.#plan.prepare({ T: rows, B: 1, N: 1, R: 1, S: 1 });
  }

  explain(): string {
    return this.#plan.explain();
  }
  kernelCount(): number | undefined {
    return this.#plan.kernelCount();
  }
  dispose(): void {
    this.#plan.dispose();
  }
}
