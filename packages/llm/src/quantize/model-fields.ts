import { type RotarySpec, rotaryFrequencies } from '@heddle/attention';
import { FileFormatError } from '@heddle/tensor';
import type { ModelConfig } from '../config.ts';
import type { GgufFamily } from '../gguf/families/gguf-family.ts';
import { perLayer } from '../gguf/families/written.ts';
import type { GgufField } from '../gguf/gguf-field.ts';
import type { DecoderLayout, FeedForwardLayout, MixerLayout } from '../models/decoder/layout.ts';
import type { GgufOutput } from './gguf-bytes.ts';

/** What a GGUF file says of a model beside its weights and its tokenizer. */
export interface ModelFields {
  readonly fields: Readonly<Record<string, GgufField>>;
  /** Divisors of the rotary frequencies, where they are scaled in a way that has no name in such files. */
  readonly tensors: readonly GgufOutput[];
}

/** @throws FileFormatError `ERR_CONFIG` for what such a file cannot say */
export function modelFields(
  label: string,
  architecture: string,
  config: ModelConfig,
  { written, windowPeriod, divisors }: GgufFamily,
): ModelFields {
  const { layout } = config;
  const rotary = wholeRotary(layout);
  const scaled = rotary && scalingFields(label, rotary);
  const own: Record<string, GgufField | undefined> = {
    block_count: ['u32', config.layers],
    context_length: ['u32', config.maxPositions],
    embedding_length: ['u32', config.hiddenSize],
    feed_forward_length: perLayer(widths(layout)),
    vocab_size: ['u32', config.vocabularySize],
    ...attentionFields(layout),
    ...windowFields(layout, windowPeriod),
    [layout.finalNorm.kind === 'rms' ? 'attention.layer_norm_rms_epsilon' : 'attention.layer_norm_epsilon']: [
      'f32',
      layout.finalNorm.epsilon,
    ],
    ...(rotary && { 'rope.dimension_count': ['u32', rotary.dim], 'rope.freq_base': ['f32', rotary.theta] }),
    ...scaled?.fields,
    ...written?.(layout, config),
  };
  const stated = Object.entries(own).flatMap(([key, field]) => (field ? [[`${architecture}.${key}`, field]] : []));
  const all = divisors?.(layout);
  const tensors = scaled?.tensors ?? [];
  return {
    fields: { ...Object.fromEntries(stated), ...tokenIds(config) },
    tensors: all ? [divisorsTensor('rope_freqs', all)] : tensors,
  };
}

/** That of layers without a window, where there are such: of the others files have keys of their own. */
function wholeRotary({ layers }: DecoderLayout): RotarySpec | undefined {
  const parts = layers.map(({ mixer }) => mixer.part);
  const isWhole = (part: MixerLayout) => !('window' in part && part.window !== undefined);
  const turned = parts.filter((part) => rotaryOf(part) !== undefined);
  const part = turned.find(isWhole) ?? turned[0];
  return part && rotaryOf(part);
}

function rotaryOf(part: MixerLayout): RotarySpec | undefined {
  return part.kind === 'attention' || part.kind === 'latent-attention' ? part.rotary : undefined;
}

/** Widths of the feed-forwards without experts; where all have experts, of those. */
function widths({ layers }: DecoderLayout): readonly number[] {
  const parts = layers.map(({ feedForward }) => feedForward.part);
  const dense = parts.filter(({ kind }) => kind !== 'experts');
  return (dense.length > 0 ? dense : parts).map(widthOf);
}

/** Of a feed-forward, or of what every row has beside its experts. */
function widthOf(part: FeedForwardLayout): number {
  return part.kind === 'experts' ? (part.shared?.part.down.inSize ?? part.down.inSize) : part.down.inSize;
}

function attentionFields({ layers }: DecoderLayout): Record<string, GgufField> {
  const parts = layers.flatMap(({ mixer: { part } }) => (part.kind === 'attention' ? [part] : []));
  const [first] = parts;
  if (!first) return {};
  return {
    'attention.head_count': ['u32', first.heads],
    'attention.head_count_kv': perLayer(parts.map(({ keyValueHeads }) => keyValueHeads)),
    'attention.key_length': ['u32', first.headDim],
    'attention.value_length': ['u32', first.headDim],
  };
}

/** The window, and which layers have it where they are not those that have it usually. */
function windowFields({ layers }: DecoderLayout, usual: number | undefined): Record<string, GgufField> {
  const windows = layers.map(({ mixer: { part } }) => (part.kind === 'attention' ? part.window : undefined));
  const window = windows.find((size) => size !== undefined);
  if (window === undefined) return {};
  const stated = { 'attention.sliding_window': ['u32', window] } as const;
  const fits = (period: number) => windows.every((size, i) => (size !== undefined) === ((i + 1) % period !== 0));
  if (usual === undefined || fits(usual)) return stated;
  const period = windows.indexOf(undefined) + 1;
  return {
    ...stated,
    'attention.sliding_window_pattern':
      period > 0 && fits(period) ? ['u32', period] : ['bools', windows.map((size) => size !== undefined)],
  };
}

function scalingFields(
  label: string,
  rotary: RotarySpec,
): { readonly fields: Record<string, GgufField>; readonly tensors: readonly GgufOutput[] } {
  const { scaling } = rotary;
  const key = (name: string) => `rope.scaling.${name}`;
  switch (scaling.kind) {
    case 'linear':
      return { fields: { [key('type')]: ['string', 'linear'], [key('factor')]: ['f32', scaling.factor] }, tensors: [] };
    case 'yarn': {
      const usual = scaling.factor > 1 ? 0.1 * Math.log(scaling.factor) + 1 : 1;
      return {
        fields: {
          [key('type')]: ['string', 'yarn'],
          [key('factor')]: ['f32', scaling.factor],
          [key('original_context_length')]: ['u32', scaling.originalMaxPositions],
          [key('yarn_beta_fast')]: ['f32', scaling.betaFast],
          [key('yarn_beta_slow')]: ['f32', scaling.betaSlow],
          ...(scaling.attentionFactor !== undefined && {
            [key('attn_factor')]: ['f32', scaling.attentionFactor / usual],
          }),
        },
        tensors: [],
      };
    }
    case 'longrope':
      return {
        fields: {
          [key('original_context_length')]: ['u32', scaling.originalMaxPositions],
          [key('attn_factor')]: ['f32', rotaryFrequencies(rotary).attentionFactor],
        },
        tensors: [
          divisorsTensor('rope_factors_short', scaling.shortFactors),
          divisorsTensor('rope_factors_long', scaling.longFactors),
        ],
      };
    case 'llama3': {
      const plain = rotaryFrequencies({ ...rotary, scaling: { kind: 'default' } }).inverseFrequencies;
      const scaled = rotaryFrequencies(rotary).inverseFrequencies;
      const divisors = [...plain].map((frequency, i) => frequency / scaled[i]!);
      return { fields: {}, tensors: [divisorsTensor('rope_freqs', divisors)] };
    }
    case 'dynamic':
      throw new FileFormatError(
        `quantize: ${label}: rotary scaling of the kind dynamic cannot be said in a GGUF file; write a folder`,
        { code: 'ERR_CONFIG' },
      );
    default:
      return { fields: {}, tensors: [] };
  }
}

const divisorsTensor = (name: string, divisors: readonly number[]): GgufOutput => ({
  name: `${name}.weight`,
  shape: [divisors.length],
  type: 'F32',
  async *pieces() {
    yield new Uint8Array(Float32Array.from(divisors).buffer);
  },
});

/** One end of a text; what else ends a turn has a key of its own. */
function tokenIds({ bosTokenId, eosTokenIds, padTokenId }: ModelConfig): Readonly<Record<string, GgufField>> {
  const id = (role: string, token: number | undefined): Record<string, GgufField> =>
    token === undefined ? {} : { [`tokenizer.ggml.${role}_token_id`]: ['u32', token] };
  const [eos, eot, eom] = eosTokenIds;
  return {
    ...id('bos', bosTokenId),
    ...id('eos', eos),
    ...id('eot', eot),
    ...id('eom', eom),
    ...id('padding', padTokenId),
  };
}
