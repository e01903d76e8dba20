import { checkArguments, checkOptions, type Tensor, type Variable } from '@heddle/tensor';
import type { ForwardContext, ModelParameters, TrainableModel } from '@heddle/trainer';
import type { Lora } from '@heddle/trainer/lora';
import { checkAdapter, siteOf } from '../models/adapter-sites.ts';
import type { CausalLm } from '../models/causal-lm.ts';
import { adaptersOf } from './adapted-model.ts';

/** What a language model reads of a batch: `tokenBatches` and `exampleBatches` of `@heddle/trainer/data` give it. */
export interface LmBatch {
  /** i32 `[B, L]`. */
  readonly tokens: Tensor;
  /** i32 `[B, L]`: places within examples; 0, 1, ... in each row where not there. */
  readonly positions?: Tensor;
  /** i32 `[B, L]`: which example of its row a token belongs to, -1 for padding; each row is one where not there. */
  readonly segments?: Tensor;
  /** u32 `[2]`: what is left out in this step, where the model or its adapter has `dropout`. See `withDropoutKeys`. */
  readonly dropoutKey?: Tensor;
}

/** What `nextTokenLoss` takes. Only what a loss looks at is computed. */
export interface LmOutput {
  /** f32 `[B, L, V]`. */
  readonly logits: Tensor;
  /** f32 `[B, L, E]`: after the final norm. */
  readonly hidden: Tensor;
  /** `[V, E]`, where the logits are `hidden` times it and nothing else. */
  readonly headWeight: Variable | undefined;
}

/** Options of `trainableLm`. */
export interface TrainableLmOptions {
  /** Trains its factors alone: the model's weights stay as they are, and may be frozen and in blocks (QLoRA). */
  readonly adapter?: Lora;
}

/**
 * A loaded model as a trainer takes it: all of its weights (load it with `trainable: true`), or those of an adapter. Its layers are
 * the blocks that `checkpointing` computes again; beside f16 activations steps scale their loss. Owns nothing.
 *
 * ```ts
 * const model = await loadModel(path, { device });
 * const adapter = await createLora(device, model.parameters, { rank: 8, targets: ['q_proj', 'v_proj'] });
 * const reports = train({ model: trainableLm(model, { adapter }), loss: nextTokenLoss, optimizer, data });
 * ```
 * @throws ShapeError for an adapter of another model
 */
export function trainableLm(
  model: CausalLm,
  options: TrainableLmOptions = {},
): TrainableModel<LmBatch, LmOutput> & { readonly parameters: ModelParameters } {
  checkArguments('trainableLm', 'object', { model });
  checkOptions('trainableLm', options, { adapter: 'object?' });
  checkArguments('trainableLm', 'object', { 'model.config': model.config });
  const { adapter } = options;
  if (adapter) checkAdapter(model, adapter);
  const { layers } = model.config;
  const { headWeight } = model;
  const isHeadPlain = headWeight !== undefined && !adapter?.factors.has(siteOf(headWeight));
  return {
    parameters: adapter ? adapter.parameters : model.parameters,
    // small gradients are lost in f16 unless the loss is scaled
    precision: model.activations,
    forward({ tokens, positions, segments, dropoutKey }: LmBatch, context: ForwardContext): LmOutput {
      const { logits, hidden } = model.forward({
        tokens,
        ...(positions && { positions }),
        ...(segments && { segments }),
        ...(dropoutKey && { dropoutKey }),
        ...(adapter && { adapters: adaptersOf(adapter, dropoutKey && { key: dropoutKey }) }),
        blocks: (x, each) => context.blocks(x, each),
        hidden: [layers],
      });
      return { logits, hidden: hidden[0]!, headWeight: isHeadPlain ? headWeight : undefined };
    },
  };
}
