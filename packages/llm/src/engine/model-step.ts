import type { AttentionKernel } from '@heddle/attention';
import type { KvBatch, KvCache } from '@heddle/kvcache';
import { type CompiledFunction, compile, symbolicDim, type Tensor, type Update } from '@heddle/tensor';
import type { CausalLm } from '../models/causal-lm.ts';
import { bestTokens } from './best-tokens.ts';

interface StepInputs {
  readonly tokens: Tensor;
  readonly positions: Tensor;
  readonly segments: Tensor;
  readonly rows: Tensor;
  readonly blockTable: Tensor;
  readonly lengths: Tensor;
  readonly slots: Tensor;
  /** Only where the model looks at it. */
  readonly sequenceLengths?: Tensor;
}
interface StepOutputs {
  readonly logits: Tensor;
  readonly best: Tensor;
  readonly updates: readonly Update[];
}

/** Host values of one step: token rows of all its sequences, one after the other. */
export interface StepRows {
  readonly tokens: Int32Array;
  readonly positions: Int32Array;
  readonly segments: Int32Array;
  /** The row of each sequence whose logits are wanted, `[B]`. */
  readonly rows: Int32Array;
  /** How long the sequence of each row is; needed where the model has `lengthScaling`. */
  readonly sequenceLengths?: Int32Array;
}

/** One plan for every step of an engine, prefill and decoding alike: forward pass, cache writes, most likely tokens. */
export class ModelStep {
  readonly #plan: CompiledFunction<[StepInputs], StepOutputs>;
  readonly #byLength: boolean;

  constructor(model: CausalLm, attention: AttentionKernel, cache: KvCache, maxBatchTokens: number) {
    const i32 = (...shape: (number | string)[]) => ({ shape, dtype: 'i32' as const });
    this.#byLength = model.lengthScaling !== undefined;
    this.#plan = compile(
      ({ blockTable, lengths, slots, ...rows }: StepInputs): StepOutputs => {
        const maxLength = symbolicDim('S', cache.maxSequenceTokens);
        const kv = cache.bind({ blockTable, lengths, slots, maxLength });
        const { logits, updates } = model.forward({ ...rows, kv, attention });
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
            rows: i32('B'),
            blockTable: i32('B', cache.maxBlocks === 1 ? 1 : 'N'),
            lengths: i32('B'),
            slots: i32('T'),
            ...(this.#byLength && { sequenceLengths: i32('T') }),
          },
        ],
        symbols: { T: maxBatchTokens, B: cache.maxSequences, N: cache.maxBlocks },
      },
    );
  }

  /** Logits `[B, V]` and most likely tokens `[B]` of the wanted rows; both until the next run. */
  run(
    { sequenceLengths, ...step }: StepRows,
    batch: KvBatch,
  ): Promise<{ readonly logits: Tensor; readonly best: Tensor }> {
    const { blockTable, lengths, slots, maxLength } = batch;
    return this.#plan.run(
      [{ ...step, ...(this.#byLength && { sequenceLengths: sequenceLengths! }), blockTable, lengths, slots }],
      { symbols: { S: maxLength } },
    );
  }

  /** Compiles and allocates for steps of one sequence with so many rows. */
  prepare(rows: number): Promise<void> {
    return this.#plan.prepare({ T: rows, B: 1, N: 1, S: 1 });
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
