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
import type { CausalLm, ForwardHooks } from '../../models/causal-lm.ts';
import type { RequestAdapters } from '../request-adapters.ts';

interface StepInputs {
  readonly tokens: Tensor;
  readonly positions: Tensor;
  readonly segments: Tensor;
  readonly rows: Tensor;
  /** The cache's own. */
  readonly cache: Readonly<Record<string, Tensor>>;
  /** Only where the model looks at it. */
  readonly sequenceLengths?: Tensor;
  /** Only in steps with adapters. */
  readonly adapters?: Tensor;
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
  /** Which adapter each row has, 0 for none; absent where none has one. */
  readonly adapters?: Int32Array | undefined;
}

/** What else forward passes have. */
interface ForwardOptions {
  readonly adapters?: RequestAdapters | undefined;
  /** The most rows of a step whose logits are wanted; by default one of each sequence. */
  readonly maxRows?: number;
  /** What is done to the residual stream between layers. */
  readonly hooks?: ForwardHooks | undefined;
  /** Whether steps of all sizes run the plan of the largest. */
  readonly onePlan?: boolean;
}

type StepPlan = CompiledFunction<[StepInputs], StepOutputs>;

/**
 * The forward passes of an engine's steps, prefill and decoding alike; logits stay on the device. One plan for all of them, and
 * another for those in which some row has an adapter: the others read no factors.
 */
export class ForwardStep {
  readonly #plain: StepPlan;
  readonly #adapted: StepPlan | undefined;
  readonly #byLength: boolean;

  /**
   * @param chosen i32, by lane: the tokens that were chosen last
   */
  constructor(
    model: CausalLm,
    attention: AttentionKernel,
    cache: KvCache,
    chosen: Variable,
    maxBatchTokens: number,
    { adapters, maxRows = cache.maxSequences, hooks, onePlan = false }: ForwardOptions = {},
  ) {
    const i32 = (size: string) => ({ shape: [size], dtype: 'i32' as const });
    this.#byLength = model.lengthScaling !== undefined;
    const planOf = (name: string, own?: RequestAdapters): StepPlan =>
      compile(
        ({ cache: inputs, tokens, adapters: places, ...rows }: StepInputs): StepOutputs => {
          const { logits, updates } = model.forward({
            ...rows,
            tokens: withChosen(tokens, chosen),
            kv: cache.bind(inputs),
            attention,
            ...(own && { adapters: own.ofRows(places!, rows.rows) }),
            ...(hooks && { hooks }),
          });
          return { logits, updates };
        },
        {
          device: model.device,
          name,
          inputs: [
            {
              tokens: i32('T'),
              positions: i32('T'),
              segments: i32('T'),
              rows: i32('R'),
              cache: cache.inputs,
              ...(this.#byLength && { sequenceLengths: i32('T') }),
              ...(own && { adapters: i32('T') }),
            },
          ],
          symbols: { ...cache.symbols, T: maxBatchTokens, R: maxRows },
          onePlan,
        },
      );
    const name = onePlan ? 'engine step of single rows' : 'engine step';
    this.#plain = planOf(name);
    this.#adapted = adapters && planOf(`${name} with adapters`, adapters);
  }

  /** Logits f32 `[R, V]` of the wanted rows, until the next run. */
  async run(
    { tokens, rows, sequenceLengths, adapters }: StepRows,
    { inputs, positions, segments, sizes }: KvBatch,
  ): Promise<Tensor> {
    const lengths = this.#byLength && { sequenceLengths };
    // a model that has none, as one that guesses, computes rows of requests with adapters as all others
    const plan = adapters && this.#adapted;
    const values = { tokens, positions, segments, rows, cache: inputs, ...lengths, ...(plan && { adapters }) };
    const { logits } = await (plan ?? this.#plain).run([values], { symbols: sizes });
    return logits;
  }

  /** Compiles and allocates for steps of these sizes. */
  async prepare(sizes: readonly SymbolValues[]): Promise<void> {
    await this.#plain.warm({ buckets: sizes });
    await this.#adapted?.warm({ buckets: sizes });
  }

  explain(): string {
    return [this.#plain, this.#adapted].flatMap((plan) => plan?.explain() ?? []).join('\n');
  }
  dispose(): void {
    this.#plain.dispose();
    this.#adapted?.dispose();
  }
}

/** Token ids with those of lanes in their places; where a lane had no usable logits, any token. */
function withChosen(tokens: Tensor, chosen: Variable): Tensor {
  const last = take(chosen, maximum(sub(-1, tokens), 0));
  return maximum(where(less(tokens, 0), last, tokens), 0);
}
