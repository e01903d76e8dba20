import { checkArguments, type Tensor, type Variable } from '@heddle/tensor';
import type { Lora, LoraDropout } from '@heddle/trainer/lora';
import { checkAdapter, siteOf } from '../models/adapter-sites.ts';
import type { CausalLm, ForwardAdapters, ForwardInputs, ForwardResult } from '../models/causal-lm.ts';
import { RowLogits } from '../models/row-logits.ts';

/** What low-rank factors add to the linear layers of a model. With `dropout` parts of their inputs are left out, as in training. */
export function adaptersOf(lora: Lora, dropout?: LoraDropout): ForwardAdapters {
  return {
    changes: (site) => lora.factors.has(site),
    add: (site, x, y) => lora.apply(site, x, y, dropout),
  };
}

/**
 * A model with an adapter: generates, caches and batches as the model does, whose weights it reads. Neither is owned by it:
 * dispose of it first, then of them.
 *
 * ```ts
 * const lora = await openAdapter(device, 'my-adapter');
 * const engine = openEngine(adaptedModel(model, lora));
 * ```
 * @throws ShapeError for an adapter of another model
 */
export function adaptedModel(model: CausalLm, lora: Lora): CausalLm {
  checkArguments('adaptedModel', 'object', { model, lora });
  checkArguments('adaptedModel', 'object', { 'model.config': model.config, 'lora.factors': lora.factors });
  checkAdapter(model, lora);
  return new AdaptedModel(model, lora);
}

class AdaptedModel implements CausalLm {
  readonly device: CausalLm['device'];
  readonly config: CausalLm['config'];
  readonly parameters: CausalLm['parameters'];
  readonly kvShape: CausalLm['kvShape'];
  readonly activations: CausalLm['activations'];
  readonly headWeight?: Variable;
  readonly lengthScaling?: { readonly recomputeBeyond?: number };
  readonly #model: CausalLm;
  readonly #adapters: ForwardAdapters;
  readonly #rowLogits: RowLogits;

  constructor(model: CausalLm, lora: Lora) {
    this.device = model.device;
    this.config = model.config;
    this.parameters = model.parameters;
    this.kvShape = model.kvShape;
    this.activations = model.activations;
    if (model.headWeight && !lora.factors.has(siteOf(model.headWeight))) this.headWeight = model.headWeight;
    if (model.lengthScaling) this.lengthScaling = model.lengthScaling;
    this.#model = model;
    this.#adapters = adaptersOf(lora);
    this.#rowLogits = new RowLogits(this);
  }

  forward(inputs: ForwardInputs): ForwardResult {
    const { adapters: more } = inputs;
    const own = this.#adapters;
    const adapters: ForwardAdapters = more
      ? {
          changes: (site) => own.changes!(site) || (more.changes?.(site) ?? true),
          add: (site, x, y) => more.add(site, x, own.add(site, x, y)),
        }
      : own;
    return this.#model.forward({ ...inputs, adapters });
  }

  logits(
    rows: readonly (readonly number[])[],
    options: { readonly attentionMask?: readonly (readonly number[])[] } = {},
  ): Promise<Tensor> {
    return this.#rowLogits.compute(rows, options.attentionMask);
  }

  async dispose(): Promise<void> {
    this.#rowLogits.dispose();
  }
}
