import type { AttentionKernel } from '@heddle/attention';
import type { KvShape, KvStep } from '@heddle/kvcache';
import type { Device, Tensor, Update, Variable } from '@heddle/tensor';
import type { ModelConfig } from '../config.ts';

/** What a forward pass takes: packed rows `[T]` of any number of sequences, or a batch `[B, L]` of equally long ones. */
export interface ForwardInputs {
  /** i32 token ids, `[T]` or `[B, L]`. */
  readonly tokens: Tensor;
  /** i32, of the shape of `tokens`: positions in the sequences. By default 0, 1, ... along the last axis. */
  readonly positions?: Tensor;
  /**
   * i32, of the shape of `tokens`: which sequence each belongs to, negative for none. Rows of a batch see their own sequences only,
   * which lie in order. By default all packed rows are of one, and each row of a batch is one.
   */
  readonly segments?: Tensor;
  /**
   * i32, of the shape of `tokens`: how long the sequence of each row is, where the model has `lengthScaling`. By default one
   * more than the highest position that the pass has of it. A prompt that is computed in chunks has its whole length.
   */
  readonly sequenceLengths?: Tensor;
  /** What was cached before, for packed rows. The step's own keys and values are written by the updates in the result. */
  readonly kv?: KvStep;
  /** i32 `[R]`, for packed rows: those whose logits are wanted; all by default. R need not be the number of sequences. */
  readonly rows?: Tensor;
  /** By default the model's own. */
  readonly attention?: AttentionKernel;
  /** What is added to the results of linear layers. */
  readonly adapters?: ForwardAdapters;
  /**
   * u32 `[2]`: which values a model with `dropout` leaves out, in training. The same key leaves out the same ones. Without it none
   * are.
   */
  readonly dropoutKey?: Tensor;
  /** What is done to the residual stream between layers. */
  readonly hooks?: ForwardHooks;
  /**
   * Hidden states that are wanted, by layer: i is what layer i takes, and the number of layers is what the last one leaves after
   * the final norm, as transformers numbers `hidden_states`.
   */
  readonly hidden?: readonly number[];
  /**
   * Runs the layers, one after the other, as the checkpointing of a trainer does: layers that it passes over are computed again in
   * the backward pass. Not with `kv`, and `hidden` gives what the last layer leaves only.
   */
  readonly blocks?: (x: Tensor, layers: readonly ((x: Tensor) => Tensor)[]) => Tensor;
}

/** Adds to the results of linear layers, as low-rank adapters do. */
export interface ForwardAdapters {
  /** Whether it adds anything there. By default it may everywhere. */
  changes?(site: string): boolean;
  /**
   * @param site the layer's name in the file, without `.weight`: `model.layers.0.self_attn.q_proj`
   * @param x what the layer takes, `[..., in]`, in the dtype of the activations
   * @param y what it gives, f32 `[..., out]`
   * @returns what stands in place of y, f32 `[..., out]`
   */
  add(site: string, x: Tensor, y: Tensor): Tensor;
}

/** Changes the residual stream, as steering vectors do. */
export interface ForwardHooks {
  /** Tells what it computes from anything else: tokens that were computed with other hooks are not shared. */
  readonly digest: string;
  /** What layer `layer` takes in place of x, f32 `[..., E]`; with the number of layers, what the final norm takes. */
  at(layer: number, x: Tensor): Tensor;
}

/** What a forward pass gives. */
export interface ForwardResult {
  /** f32 `[T, V]`, `[R, V]` with `rows`, or `[B, L, V]`. */
  readonly logits: Tensor;
  /** f32 `[..., E]` for each of `inputs.hidden`, in its order; `[R, E]` with `rows`. Empty where none were asked for. */
  readonly hidden: readonly Tensor[];
  /** Writes of the cache; empty without `kv`. A compiled step returns them. */
  readonly updates: readonly Update[];
}

/** What a model is made with beside its weights. */
export interface ModelParts {
  readonly attention: AttentionKernel;
  /** What products and attention read, and the cache holds. */
  readonly activations: 'f32' | 'f16';
}

/** A model that gives the logits of the next token. */
export interface CausalLm {
  readonly device: Device;
  readonly config: ModelConfig;
  /** What is trained; frozen unless the model was loaded with `trainable`. */
  readonly parameters: readonly Variable[];
  /** What its layers keep of each token: the `shape` of a cache for it. */
  readonly kvShape: KvShape;
  /** What products and attention read. */
  readonly activations: 'f32' | 'f16';
  /** `[V, E]`, where logits are the last hidden states times it, and nothing else: for losses that never hold all logits. */
  readonly headWeight?: Variable;
  /**
   * Present where what is computed of a row depends on how long its sequence is: rotary scaling of the kinds longrope and
   * dynamic. Once a sequence is longer than `recomputeBeyond` tokens, what was cached of it before is computed anew.
   */
  readonly lengthScaling?: { readonly recomputeBeyond?: number };
  /** Records a forward pass. Differentiable without `kv`. @throws ShapeError, DTypeError */
  forward(inputs: ForwardInputs): ForwardResult;
  /**
   * Logits of whole rows of token ids: f32 `[B, T, V]`, owned by the caller. Rows are equally long; shorter ones are padded
   * on the left, with 0 in `attentionMask` there, and what the logits are at padding has no meaning.
   * @throws ArgumentError for rows of different lengths, ids beyond the vocabulary, more tokens than positions
   */
  logits(
    rows: readonly (readonly number[])[],
    options?: { readonly attentionMask?: readonly (readonly number[])[] },
  ): Promise<Tensor>;
  /** Frees the weights and plans. Idempotent. */
  dispose(): Promise<void>;
}
