import type { WeightSource } from '../weight-source.ts';
import type { LatentAttentionLayout } from './latent-layout.ts';
import type {
  AttentionLayout,
  DecoderLayout,
  ExpertsLayout,
  FeedForwardLayout,
  LinearLayout,
  MixerLayout,
  NormLayout,
} from './layout.ts';
import type { ConvolutionLayout } from './recurrent-layouts.ts';

/** Weights by the names that Hugging Face has for them. */
export interface WeightTable {
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** Names of the biases that the configuration says are not there. */
  readonly denied: ReadonlySet<string>;
  /** How Hugging Face's files have those that are not one tensor of their name and shape. */
  readonly sources: ReadonlyMap<string, WeightSource>;
  /** What the values of a weight begin with, where they are not random: a number, or rates of decay. */
  readonly starts: ReadonlyMap<string, number | 'rates'>;
  /** Those that are no parameters. */
  readonly buffers: ReadonlySet<string>;
  /** Names of tensors that files may have and no layer reads. */
  readonly idle: ReadonlySet<string>;
}

/**
 * Name and shape of every weight of a decoder, in the order of the forward pass.
 * @param tied whether the head is the embedding
 */
export function weightTable(layout: DecoderLayout, tied: boolean): WeightTable {
  const { vocabularySize: V, hiddenSize: E, embedding, head } = layout;
  const table = new TableBuilder();
  table.add(`${embedding.site}.weight`, [V, E]);
  if (embedding.positions) table.add(`${embedding.positions.site}.weight`, [embedding.positions.size, E]);
  table.perLayerEmbedding(layout);
  for (const { mixer, feedForward, perLayer, scalar } of layout.layers) {
    table.norm(mixer.before);
    table.mixer(mixer.part);
    table.norm(mixer.after);
    table.norm(mixer.sum);
    table.norm(feedForward.before);
    table.feedForward(feedForward.part);
    table.norm(feedForward.after);
    table.norm(feedForward.sum);
    table.linear(perLayer?.gate);
    table.linear(perLayer?.projection);
    table.norm(perLayer?.after);
    if (scalar !== undefined) table.buffer(scalar);
  }
  table.norm(layout.finalNorm);
  if (!tied) table.add(`${head.site}.weight`, [V, E]);
  if (head.bias) table.add(`${head.site}.bias`, [V], 0);
  return table;
}

class TableBuilder implements WeightTable {
  readonly shapes: Map<string, readonly number[]> = new Map();
  readonly denied: Set<string> = new Set();
  readonly sources: Map<string, WeightSource> = new Map();
  readonly starts: Map<string, number | 'rates'> = new Map();
  readonly buffers: Set<string> = new Set();
  readonly idle: Set<string> = new Set();

  add(name: string, shape: readonly number[], start?: number | 'rates'): void {
    this.shapes.set(name, shape);
    if (start !== undefined) this.starts.set(name, start);
  }

  buffer(name: string): void {
    this.add(name, [1], 1);
    this.buffers.add(name);
  }

  linear(layout: LinearLayout | undefined): void {
    if (!layout) return;
    const { site, inSize, outSize, bias, transposed } = layout;
    this.add(`${site}.weight`, [outSize, inSize]);
    if (transposed) this.sources.set(`${site}.weight`, { kind: 'transposed' });
    if (bias === true) this.add(`${site}.bias`, [outSize], 0);
    if (bias === false) this.denied.add(`${site}.bias`);
  }

  norm(layout: NormLayout | undefined): void {
    if (layout?.site === undefined) return;
    this.add(`${layout.site}.weight`, [layout.size], layout.lessOne ? 0 : 1);
    if (layout.bias) this.add(`${layout.site}.bias`, [layout.size], 0);
  }

  perLayerEmbedding({ perLayerEmbedding: own, layers }: DecoderLayout): void {
    if (!own) return;
    this.add(`${own.site}.weight`, [own.vocabularySize, layers.length * own.size]);
    this.linear(own.projection);
    this.norm(own.norm);
  }

  attention({ projections, output, headNorms, sinks, heads, sharedWith }: AttentionLayout): void {
    if ('queryKeyValue' in projections) this.linear(projections.queryKeyValue);
    else for (const layout of [projections.query, projections.key, projections.value]) this.linear(layout);
    for (const layout of [headNorms?.query, headNorms?.key, headNorms?.value]) this.norm(layout);
    if (sinks !== undefined) this.add(sinks, [heads]);
    this.linear(output);
    if (sharedWith !== undefined) this.#unshared(output.site.replace(/[^.]+$/, ''));
  }

  #experts({ router, correction, count, gate, up, down, shared }: ExpertsLayout): void {
    this.linear(router);
    if (correction !== undefined) {
      this.add(correction, [count]);
      // adapted by counts, not by gradients
      this.buffers.add(correction);
    }
    if (shared) {
      this.feedForward(shared.part);
      this.linear(shared.gate);
    }
    for (const { site, inSize, outSize, weight, bias } of [gate, up, down]) {
      this.add(`${site}.weight`, [count, outSize, inSize]);
      this.sources.set(`${site}.weight`, weight);
      if (!bias) continue;
      this.add(`${site}.bias`, [count, outSize], 0);
      this.sources.set(`${site}.bias`, bias);
    }
  }

  /** What the layer would have if it did not share keys and values. */
  #unshared(prefix: string): void {
    for (const part of ['k_proj', 'v_proj', 'k_norm', 'v_norm'])
      for (const kind of ['weight', 'bias']) this.idle.add(`${prefix}${part}.${kind}`);
  }

  mixer(layout: MixerLayout): void {
    if (layout.kind === 'attention') {
      this.attention(layout);
      return;
    }
    if (layout.kind === 'latent-attention') {
      this.latentAttention(layout);
      return;
    }
    const inputs =
      layout.kind === 'delta-net'
        ? Object.values(layout.projections)
        : [layout.kind === 'mamba2' ? layout.input : layout.inputs];
    for (const input of inputs) this.linear(input);
    this.convolution(layout.convolution);
    if (layout.kind !== 'short-convolution') {
      const heads = layout.kind === 'delta-net' ? layout.valueHeads : layout.heads;
      this.add(layout.logRates, [heads], 'rates');
      this.add(layout.biases, [heads], 1);
      if (layout.kind === 'mamba2') this.add(layout.skip, [heads], 1);
      this.norm(layout.norm);
    }
    this.linear(layout.output);
  }

  latentAttention({ query, down, norm, up, output }: LatentAttentionLayout): void {
    if ('direct' in query) this.linear(query.direct);
    else {
      this.linear(query.down);
      this.norm(query.norm);
      this.linear(query.up);
    }
    this.linear(down);
    this.norm(norm);
    this.linear(up);
    this.linear(output);
  }

  convolution({ site, channels, width, bias }: ConvolutionLayout): void {
    this.add(`${site}.weight`, [channels, 1, width]);
    if (bias) this.add(`${site}.bias`, [channels], 0);
  }

  feedForward(layout: FeedForwardLayout): void {
    if (layout.kind === 'experts') {
      this.#experts(layout);
      return;
    }
    if (layout.kind === 'plain') this.linear(layout.up);
    else if ('gateUp' in layout.projections) this.linear(layout.projections.gateUp);
    else for (const each of [layout.projections.gate, layout.projections.up]) this.linear(each);
    this.linear(layout.down);
  }
}
