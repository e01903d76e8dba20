import { ArgumentError } from '@heddle/tensor';
import { type BlocksConfig, blockLayout } from './blocks/block-layout.ts';
import type { ModelConfig } from './config.ts';
import { describe } from './describe.ts';
import { describeModel, type ModelDescription } from './families.ts';
import { Decoder } from './models/decoder/decoder.ts';
import type { DecoderLayout } from './models/decoder/layout.ts';
import { weightTable } from './models/decoder/weight-shapes.ts';

/** A model by its layers, where no family's configuration says it. */
export interface LayoutConfig {
  readonly layout: DecoderLayout;
  /** Longest sequence, in tokens. */
  readonly maxPositions: number;
  /** Whether the output projection is the token embedding. Default true. */
  readonly tieWordEmbeddings?: boolean;
  /** Deviation of matrices. Default 0.02. */
  readonly initializer_range?: number;
}

/** A model of which the configuration is read: what random weights and `inspectModel` need of it. */
export type Described = Pick<ModelDescription, 'shapes' | 'starts' | 'buffers' | 'tied' | 'config' | 'create'>;

/** What `createModel` and `inspectModel` take. */
export type AnyConfig = Readonly<Record<string, unknown>> | BlocksConfig | LayoutConfig;

/** What is made of a configuration: of a family, by blocks, or by layers. @throws FileFormatError, ArgumentError as `createModel` */
export function describeConfig(config: AnyConfig): Described {
  if (isLayout(config)) return describedByLayout(config);
  if (isBlocks(config)) {
    const { tieWordEmbeddings } = config;
    return describedByLayout(
      { ...blockLayout(config), ...(tieWordEmbeddings !== undefined && { tieWordEmbeddings }) },
      'transformer block',
    );
  }
  return describeModel({ label: 'config', text: JSON.stringify(config) });
}

const isLayout = (config: AnyConfig): config is LayoutConfig =>
  typeof config['layout' as keyof typeof config] === 'object';

const isBlocks = (config: AnyConfig): config is BlocksConfig => Array.isArray(config['blocks' as keyof typeof config]);

function describedByLayout(
  { layout, maxPositions, tieWordEmbeddings = true }: LayoutConfig,
  architecture = 'layout',
): Described {
  if (!Number.isSafeInteger(maxPositions) || maxPositions < 1)
    throw new ArgumentError(`createModel: maxPositions must be a positive integer, got ${describe(maxPositions)}`);
  const nothing = undefined;
  const config: ModelConfig = {
    architecture,
    vocabularySize: layout.vocabularySize,
    hiddenSize: layout.hiddenSize,
    layers: layout.layers.length,
    maxPositions,
    tieWordEmbeddings,
    layout,
    bosTokenId: nothing,
    eosTokenIds: [],
    padTokenId: nothing,
    generation: {
      sample: false,
      temperature: nothing,
      topK: nothing,
      topP: nothing,
      minP: nothing,
      typicalP: nothing,
      epsilonCutoff: nothing,
      etaCutoff: nothing,
      repetitionPenalty: nothing,
      noRepeatNgramSize: nothing,
      maxNewTokens: nothing,
      maxLength: nothing,
    },
  };
  return {
    ...weightTable(layout, tieWordEmbeddings),
    config,
    tied: tieWordEmbeddings,
    create: (device, weights, parts) => new Decoder(device, config, weights, parts),
  };
}
