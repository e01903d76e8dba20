import { type AttentionKernel, createSinusoidalPositions, type PositionModule } from '@heddle/attention';
import type { KvShape } from '@heddle/kvcache';
import {
  ArgumentError,
  arange,
  cast,
  checkOptions,
  type Device,
  embedding,
  type Tensor,
  take,
  tanh,
  type Update,
  type Variable,
} from '@heddle/tensor';
import type { ModelConfig } from '../../config.ts';
import type { CausalLm, ForwardInputs, ForwardResult, ModelParts } from '../causal-lm.ts';
import { Projections } from '../projections.ts';
import { RowLogits } from '../row-logits.ts';
import { runLayers } from '../run-layers.ts';
import { WantedStates } from '../wanted-states.ts';
import type { Weights } from '../weights.ts';
import { denseAttend, packedAttend } from './attend.ts';
import { attentionLayer, type SharedKeysAndValues } from './attention-layer.ts';
import { feedForward } from './feed-forward.ts';
import { latentLayer } from './latent-layer.ts';
import type { BranchLayout, DecoderLayout, MixerLayout } from './layout.ts';
import { Pass } from './pass.ts';
import { addPerLayer, perLayerInputs } from './per-layer.ts';
import { recurrentLayer } from './recurrent-layer.ts';
import { denseRows, packedRows } from './recurrent-rows.ts';
import { Rotations } from './rotations.ts';
import { storesOf } from './stores.ts';

/** A decoder of any layout: embeddings, layers that add to a residual stream, a norm and a head. */
export class Decoder implements CausalLm {
  readonly device: Device;
  readonly config: ModelConfig;
  readonly parameters: readonly Variable[];
  readonly kvShape: KvShape;
  readonly activations: 'f32' | 'f16';
  readonly headWeight?: Variable;
  readonly lengthScaling?: { readonly recomputeBeyond?: number };
  readonly #weights: Weights;
  readonly #projections: Projections;
  readonly #rotations: Rotations;
  readonly #sinusoidal: PositionModule | undefined;
  readonly #attention: AttentionKernel;
  readonly #rowLogits: RowLogits;

  /** @param weights owned by the model from here on */
  constructor(device: Device, config: ModelConfig, weights: Weights, { attention, activations }: ModelParts) {
    this.device = device;
    this.config = config;
    this.parameters = weights.all();
    this.activations = activations;
    this.kvShape = { layers: config.layout.layers.map((layer) => storesOf(layer, activations)) };
    const { embedding: tokens, head } = config.layout;
    const plain = head.softcap === undefined && (head.divisor ?? 1) === 1 && !head.bias;
    if (plain) this.headWeight = weights.get(`${(config.tieWordEmbeddings ? tokens : head).site}.weight`);
    this.#weights = weights;
    this.#projections = new Projections(weights, activations);
    this.#rotations = new Rotations(device, config.layout, config.maxPositions);
    const { lengthScaling } = this.#rotations;
    if (lengthScaling) this.lengthScaling = lengthScaling;
    this.#sinusoidal = this.#sinusoidalPositions();
    this.#attention = attention;
    this.#rowLogits = new RowLogits(this);
  }

  forward(inputs: ForwardInputs): ForwardResult {
    const { tokens, rows, segments, sequenceLengths, hooks, adapters } = inputs;
    const { layers, finalNorm } = this.config.layout;
    const packed = tokens.rank === 1;
    if (!packed && segments && this.lengthScaling && !sequenceLengths)
      throw new ArgumentError(
        'forward: segments of a batch need sequenceLengths, which the rotary embedding depends on',
      );
    const positions = inputs.positions ?? arange(this.device, tokens.shape.at(-1)!).expand(tokens.shape);
    const updates: Update[] = [];
    const parts = { weights: this.#weights, activations: this.activations };
    const pass = new Pass({
      ...parts,
      isPacked: packed,
      isCached: inputs.kv !== undefined,
      projections: this.#projections,
      adapters,
      rotations: this.#rotations.rows({ positions, segments: packed ? segments : undefined, sequenceLengths }),
      attend: packed ? packedAttend(this.device, inputs, positions, this.#attention, updates) : denseAttend(inputs),
      recurrent: packed ? packedRows(this.device, inputs, positions, updates, parts) : denseRows(inputs, parts),
      positions,
      dropoutKey: inputs.dropoutKey,
    });
    const shared: SharedKeysAndValues = new Map();
    const wanted = new WantedStates(layers.length, inputs.hidden);
    const run = (i: number, input: Tensor) => {
      const x = hooks ? hooks.at(i, input) : input;
      wanted.offer(i, () => (rows ? take(x, rows) : x));
      const { mixer, feedForward: fed, parallel, perLayer, scalar } = layers[i]!;
      const mixed = branch(pass, 2 * i, mixer, { taken: x, sum: x }, (part, state) =>
        mix(pass, i, part, state, shared),
      );
      const own = branch(pass, 2 * i + 1, fed, { taken: parallel ? x : mixed, sum: mixed }, (part, state) =>
        feedForward(pass, part, state),
      );
      const left = perLayer && perLayerInput ? addPerLayer(pass, perLayer, own, perLayerInput(i)) : own;
      return scalar === undefined ? left : left.mul(this.#weights.get(scalar));
    };
    const embedded = this.#embed(tokens, positions);
    const perLayerInput = perLayerInputs(pass, this.config.layout, tokens, embedded);
    let x = runLayers(inputs, layers.length, embedded, run);
    if (hooks) x = hooks.at(layers.length, x);
    if (rows) x = take(x, rows);
    x = pass.norm(finalNorm, x);
    wanted.offer(layers.length, () => x);
    return { logits: this.#logits(pass, x), hidden: wanted.states, updates };
  }

  logits(
    rows: readonly (readonly number[])[],
    options: { readonly attentionMask?: readonly (readonly number[])[] } = {},
  ): Promise<Tensor> {
    checkOptions('logits', options, ['attentionMask']);
    return this.#rowLogits.compute(rows, options.attentionMask);
  }

  async dispose(): Promise<void> {
    this.#rowLogits.dispose();
    this.#rotations.dispose();
    this.#sinusoidal?.dispose();
    for (const parameter of this.parameters) parameter.dispose();
  }

  /** @throws ArgumentError, OutOfMemoryError; then nothing of the constructor's is left on the device */
  #sinusoidalPositions(): PositionModule | undefined {
    const { maxPositions, layout } = this.config;
    if (!layout.embedding.sinusoidal) return undefined;
    try {
      return createSinusoidalPositions(this.device, { maxPositions, width: layout.hiddenSize });
    } catch (error) {
      this.#rotations.dispose();
      throw error;
    }
  }

  #embed(tokens: Tensor, positions: Tensor): Tensor {
    const { site, multiplier, positions: learned } = this.config.layout.embedding;
    const look = (table: string, ids: Tensor) => cast(embedding(this.#weights.get(`${table}.weight`), ids), 'f32');
    const x = scaled(look(site, tokens), multiplier);
    const placed = learned ? x.add(look(learned.site, positions)) : x;
    return this.#sinusoidal ? this.#sinusoidal.forward({ x: placed, positions }) : placed;
  }

  #logits(pass: Pass, x: Tensor): Tensor {
    const { embedding: tokens, head }: DecoderLayout = this.config.layout;
    const logits = pass.linear(this.config.tieWordEmbeddings ? tokens : head, x);
    const { divisor = 1, softcap } = head;
    const divided = divisor === 1 ? logits : logits.div(divisor);
    return softcap === undefined ? divided : tanh(divided.div(softcap)).mul(softcap);
  }
}

/** What mixes positions: f32 `[..., E]` to f32 `[..., E]`. */
function mix(pass: Pass, index: number, part: MixerLayout, x: Tensor, shared: SharedKeysAndValues): Tensor {
  if (part.kind === 'attention') return attentionLayer(pass, index, part, x, shared);
  return part.kind === 'latent-attention' ? latentLayer(pass, index, part, x) : recurrentLayer(pass, index, part, x);
}

/** norm(sum + multiplier * dropout(after(part(before(taken))))). */
function branch<P>(
  pass: Pass,
  place: number,
  { part, before, after, sum: norm, dropout, multiplier }: BranchLayout<P>,
  { taken, sum }: { readonly taken: Tensor; readonly sum: Tensor },
  run: (part: P, x: Tensor) => Tensor,
): Tensor {
  const added = pass.dropout(dropout, place, pass.norm(after, run(part, pass.norm(before, taken))));
  return pass.norm(norm, sum.add(scaled(added, multiplier)));
}

const scaled = (x: Tensor, factor = 1): Tensor => (factor === 1 ? x : x.mul(factor));
