import { type AttentionKernel, attention as denseAttention, rotary } from '@heddle/attention';
import { type KvShape, keyValueShape } from '@heddle/kvcache';
import {
  ArgumentError,
  arange,
  cast,
  type Device,
  embedding,
  full,
  rmsNorm,
  silu,
  type Tensor,
  take,
  type Update,
  type Variable,
} from '@heddle/tensor';
import type { JsonFields } from '../config/json-fields.ts';
import type { LlamaConfig } from '../config/llama.ts';
import type { CausalLm, ForwardAdapters, ForwardInputs, ForwardResult, ModelParts } from './causal-lm.ts';
import { type ModelRotary, modelRotary, type RowRotation } from './length-rotary.ts';
import { Projections } from './projections.ts';
import { RowLogits } from './row-logits.ts';
import { runLayers } from './run-layers.ts';
import { WantedStates } from './wanted-states.ts';
import type { Weights } from './weights.ts';

/** Name and shape of every weight, as Hugging Face writes them. */
export function llamaWeightShapes(config: LlamaConfig): ReadonlyMap<string, readonly number[]> {
  const { hiddenSize: E, intermediateSize: F, vocabularySize: V, heads: H, keyValueHeads: K, headDim: D } = config;
  const shapes = new Map<string, readonly number[]>([['model.embed_tokens.weight', [V, E]]]);
  const projection = (name: string, out: number, size: number, bias: boolean) => {
    shapes.set(`${name}.weight`, [out, size]);
    if (bias) shapes.set(`${name}.bias`, [out]);
  };
  for (let i = 0; i < config.layers; i++) {
    const layer = `model.layers.${i}`;
    projection(`${layer}.self_attn.q_proj`, H * D, E, config.attentionBias);
    projection(`${layer}.self_attn.k_proj`, K * D, E, config.attentionBias);
    projection(`${layer}.self_attn.v_proj`, K * D, E, config.attentionBias);
    projection(`${layer}.self_attn.o_proj`, E, H * D, config.attentionBias);
    projection(`${layer}.mlp.gate_proj`, F, E, config.mlpBias);
    projection(`${layer}.mlp.up_proj`, F, E, config.mlpBias);
    projection(`${layer}.mlp.down_proj`, E, F, config.mlpBias);
    shapes.set(`${layer}.input_layernorm.weight`, [E]);
    shapes.set(`${layer}.post_attention_layernorm.weight`, [E]);
  }
  shapes.set('model.norm.weight', [E]);
  if (!config.tieWordEmbeddings) shapes.set('lm_head.weight', [V, E]);
  return shapes;
}

/** Whether a Llama's configuration says that there is no bias of that name. */
export function llamaDeniesBias(config: JsonFields, name: string): boolean {
  const field = name.includes('.self_attn.') ? 'attention_bias' : 'mlp_bias';
  return config.has(field) && !config.boolean(field, false);
}

/** How the rows of one forward pass attend, the same in every layer. */
type Attend = (layer: number, q: Tensor, k: Tensor, v: Tensor) => Tensor;

/** Llama: pre-norm blocks of rotary grouped-query attention and gated SiLU. Source: https://arxiv.org/abs/2302.13971 */
export class Llama implements CausalLm {
  readonly device: Device;
  readonly config: LlamaConfig;
  readonly parameters: readonly Variable[];
  readonly kvShape: KvShape;
  readonly activations: 'f32' | 'f16';
  readonly headWeight: Variable;
  readonly lengthScaling?: { readonly recomputeBeyond?: number };
  readonly #weights: Weights;
  readonly #projections: Projections;
  readonly #rotary: ModelRotary;
  readonly #attention: AttentionKernel;
  readonly #rowLogits: RowLogits;

  /** @param weights owned by the model from here on */
  constructor(device: Device, config: LlamaConfig, weights: Weights, { attention, activations }: ModelParts) {
    this.device = device;
    this.config = config;
    this.parameters = weights.all();
    this.activations = activations;
    this.kvShape = keyValueShape({
      layers: config.layers,
      heads: config.keyValueHeads,
      headDim: config.headDim,
      dtype: activations,
    });
    this.headWeight = weights.get(`${config.tieWordEmbeddings ? 'model.embed_tokens' : 'lm_head'}.weight`);
    this.#weights = weights;
    this.#projections = new Projections(weights, activations);
    this.#rotary = modelRotary(device, config.rotary, config.maxPositions);
    if (this.#rotary.lengthScaling) this.lengthScaling = this.#rotary.lengthScaling;
    this.#attention = attention;
    this.#rowLogits = new RowLogits(this);
  }

  forward(inputs: ForwardInputs): ForwardResult {
    const { tokens, rows, segments, sequenceLengths, hooks, adapters } = inputs;
    const { layers } = this.config;
    const positions = inputs.positions ?? arange(this.device, tokens.shape.at(-1)!).expand(tokens.shape);
    const packed = tokens.rank === 1;
    const rotation = this.#rotary.rows({ positions, segments: packed ? segments : undefined, sequenceLengths });
    const updates: Update[] = [];
    const attend = packed ? this.#packed(inputs, positions, updates) : this.#dense(inputs);
    const wanted = new WantedStates(layers, inputs.hidden);
    let x = cast(embedding(this.#weights.get('model.embed_tokens.weight'), tokens), 'f32');
    const run = (i: number, input: Tensor) => {
      const changed = hooks ? hooks.at(i, input) : input;
      wanted.offer(i, () => (rows ? take(changed, rows) : changed));
      return this.#block(i, changed, rotation, attend, adapters);
    };
    x = runLayers(inputs, layers, x, run);
    if (hooks) x = hooks.at(layers, x);
    if (rows) x = take(x, rows);
    x = this.#norm('model.norm', x);
    wanted.offer(layers, () => x);
    const head = this.config.tieWordEmbeddings ? 'model.embed_tokens' : 'lm_head';
    return { logits: this.#projections.apply(head, x, adapters), hidden: wanted.states, updates };
  }

  logits(
    rows: readonly (readonly number[])[],
    options: { readonly attentionMask?: readonly (readonly number[])[] } = {},
  ): Promise<Tensor> {
    return this.#rowLogits.compute(rows, options.attentionMask);
  }

  async dispose(): Promise<void> {
    this.#rowLogits.dispose();
    this.#rotary.dispose();
    for (const parameter of this.parameters) parameter.dispose();
  }

  #block(
    index: number,
    x: Tensor,
    { places, table }: RowRotation,
    attend: Attend,
    adapters: ForwardAdapters | undefined,
  ): Tensor {
    const linear = (name: string, input: Tensor) => this.#projections.apply(`${layer}.${name}`, input, adapters);
    const { heads, keyValueHeads, headDim } = this.config;
    const layer = `model.layers.${index}`;
    const lead = x.shape.slice(0, -1);
    const normed = this.#norm(`${layer}.input_layernorm`, x);
    const project = (name: string, count: number) =>
      linear(`self_attn.${name}`, normed).reshape([...lead, count, headDim]);
    const dtype = this.activations;
    const q = cast(rotary(project('q_proj', heads), places, table), dtype);
    const k = cast(rotary(project('k_proj', keyValueHeads), places, table), dtype);
    const v = cast(project('v_proj', keyValueHeads), dtype);
    const mixed = attend(index, q, k, v).reshape([...lead, heads * headDim]);
    const h = x.add(linear('self_attn.o_proj', mixed));
    const fed = this.#norm(`${layer}.post_attention_layernorm`, h);
    const gated = silu(linear('mlp.gate_proj', fed)).mul(linear('mlp.up_proj', fed));
    return h.add(linear('mlp.down_proj', gated));
  }

  #packed({ tokens, segments, kv, attention }: ForwardInputs, positions: Tensor, updates: Update[]): Attend {
    const kernel = attention ?? this.#attention;
    const spec = { positions, segments: segments ?? full(this.device, tokens.shape, 0, 'i32') };
    const reason = kernel.supports(spec);
    if (reason !== undefined) throw new ArgumentError(`forward: attention ${kernel.name} cannot be used: ${reason}`);
    return (layer, q, k, v) => {
      if (kv) updates.push(...kv.write(layer, { keys: k, values: v }));
      return kernel.attend(q, k, v, kv?.layer(layer), spec);
    };
  }

  #dense({ kv, rows, segments, sequenceLengths }: ForwardInputs): Attend {
    if (kv || rows) throw new ArgumentError('forward: kv and rows take packed rows [T], got a batch [B, L] of tokens');
    if (segments && this.lengthScaling && !sequenceLengths)
      throw new ArgumentError(
        'forward: segments of a batch need sequenceLengths, which the rotary embedding depends on',
      );
    return (_, q, k, v) => denseAttention(q, k, v, { causal: true, ...(segments && { segments }) });
  }

  #norm(name: string, x: Tensor): Tensor {
    return rmsNorm(x, this.#weights.get(`${name}.weight`), this.config.normEpsilon);
  }
}
