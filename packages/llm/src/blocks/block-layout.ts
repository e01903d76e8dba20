import { keyValueHeads } from '@heddle/attention';
import { ArgumentError, checkOptions } from '@heddle/tensor';
import { describe } from '../describe.ts';
import type {
  ActivationName,
  AttentionLayout,
  BranchLayout,
  DecoderLayout,
  FeedForwardLayout,
  LayerLayout,
  LinearLayout,
  NormLayout,
} from '../models/decoder/layout.ts';
import { type BlockNames, llamaNames } from './block-names.ts';
import { checkBlock, type TransformerBlock } from './transformer-block.ts';

/** A model by its blocks: embeddings, blocks, a final norm, and a head that is the token embedding where nothing else is said. */
export interface BlocksConfig {
  /** V */
  readonly vocabularySize: number;
  /** E */
  readonly width: number;
  /** H of blocks that name none; a head is E / H wide. */
  readonly heads: number;
  /** F of blocks that name none. Default 4 E. */
  readonly feedForwardWidth?: number;
  /** One for each layer. */
  readonly blocks: readonly TransformerBlock[];
  /** Longest sequence, in tokens. Default 2,048. */
  readonly maxPositions?: number;
  /** Whether the output projection is the token embedding. Default true. */
  readonly tieWordEmbeddings?: boolean;
  /** What weights are called. Default `llamaNames`. */
  readonly names?: BlockNames;
  /** Deviation of matrices. Default 0.02. */
  readonly initializer_range?: number;
}

const known = ['vocabularySize', 'width', 'heads', 'feedForwardWidth', 'blocks', 'maxPositions'];

/** The layout of a model of blocks. @throws ArgumentError for sizes that do not fit each other */
export function blockLayout(config: BlocksConfig): { readonly layout: DecoderLayout; readonly maxPositions: number } {
  checkOptions('createModel', config, [...known, 'tieWordEmbeddings', 'names', 'initializer_range']);
  const { vocabularySize, width, heads, blocks, maxPositions = 2048, names = llamaNames } = config;
  const { feedForwardWidth = 4 * width } = config;
  for (const [name, value] of Object.entries({ vocabularySize, width, heads, feedForwardWidth, maxPositions }))
    if (!Number.isSafeInteger(value) || value < 1)
      throw new ArgumentError(`createModel: ${name} must be a positive integer, got ${describe(value)}`);
  if (blocks.length === 0) throw new ArgumentError('createModel: blocks must have one block or more, got none');
  const layers = blocks.map((block, i) => {
    checkBlock(block);
    return layerOf(block, `${names.layers}.${i}`, names, { width, heads, feedForwardWidth, maxPositions });
  });
  const has = (positions: TransformerBlock['positions']) => blocks.some((block) => block.positions === positions);
  if (has('sinusoidal') && width % 2 !== 0)
    throw new ArgumentError(`createModel: width must be even for sinusoidal positions, got ${width}`);
  return {
    maxPositions,
    layout: {
      vocabularySize,
      hiddenSize: width,
      embedding: {
        site: names.embedding,
        ...(has('learned') && { positions: { site: names.positions, size: maxPositions } }),
        ...(has('sinusoidal') && { sinusoidal: true }),
      },
      layers,
      finalNorm: normOf(blocks.at(-1)!, names.finalNorm, width),
      head: { site: names.head },
    },
  };
}

interface Sizes {
  readonly width: number;
  readonly heads: number;
  readonly feedForwardWidth: number;
  readonly maxPositions: number;
}

function layerOf(block: TransformerBlock, layer: string, names: BlockNames, sizes: Sizes): LayerLayout {
  const branch = <P>(part: P, name: string): BranchLayout<P> => {
    const norm = normOf(block, `${layer}.${name}`, sizes.width);
    const dropout = block.dropout > 0 && { dropout: block.dropout };
    return block.normPosition === 'pre' ? { part, before: norm, ...dropout } : { part, sum: norm, ...dropout };
  };
  const linear = (name: string, inSize: number, outSize: number): LinearLayout => ({
    site: `${layer}.${name}`,
    inSize,
    outSize,
    bias: block.bias,
    ...(names.transposed && { transposed: true }),
  });
  return {
    mixer: branch(attentionOf(block, names, sizes, linear), names.attentionNorm),
    feedForward: branch(feedForwardOf(block, names, sizes, linear), names.feedForwardNorm),
  };
}

type Linear = (name: string, inSize: number, outSize: number) => LinearLayout;

function attentionOf(block: TransformerBlock, names: BlockNames, sizes: Sizes, linear: Linear): AttentionLayout {
  const { width: E } = sizes;
  const { heads: H = sizes.heads, positions, rotaryBase } = block;
  const K = keyValueHeads(block.attention, H);
  const D = E / H;
  const isRotary = positions === 'rotary';
  if (!Number.isInteger(D) || (isRotary && D % 2 !== 0))
    throw new ArgumentError(
      `createModel: width must be a multiple of ${isRotary ? 'twice ' : ''}the ${H} heads, got ${E}`,
    );
  const { projections } = names;
  return {
    kind: 'attention',
    heads: H,
    keyValueHeads: K,
    headDim: D,
    projections:
      'queryKeyValue' in projections
        ? { queryKeyValue: linear(projections.queryKeyValue, E, (H + 2 * K) * D) }
        : {
            query: linear(projections.query, E, H * D),
            key: linear(projections.key, E, K * D),
            value: linear(projections.value, E, K * D),
          },
    output: linear(names.attentionOutput, H * D, E),
    ...(isRotary && { rotary: { theta: rotaryBase, dim: D, scaling: { kind: 'default' } } }),
    ...(positions === 'alibi' && { alibi: true }),
  };
}

const gates: Readonly<Record<string, ActivationName>> = { swiglu: 'silu', geglu: 'gelu', reglu: 'relu' };

function feedForwardOf(block: TransformerBlock, names: BlockNames, sizes: Sizes, linear: Linear): FeedForwardLayout {
  const { width: E } = sizes;
  const { activation, feedForwardWidth: F = sizes.feedForwardWidth } = block;
  const [up, down] = [linear(names.up, E, F), linear(names.down, F, E)];
  const gated = gates[activation];
  if (gated === undefined) return { kind: 'plain', activation: activation as ActivationName, up, down };
  return { kind: 'gated', activation: gated, projections: { gate: linear(names.gate, E, F), up }, down };
}

const normOf = ({ norm, epsilon, bias }: TransformerBlock, site: string, size: number): NormLayout => ({
  kind: norm,
  site,
  size,
  epsilon,
  ...(norm === 'layer' && bias && { bias: true }),
});
