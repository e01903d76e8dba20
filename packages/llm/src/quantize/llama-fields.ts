import { rotaryFrequencies } from '@heddle/attention';
import { FileFormatError } from '@heddle/tensor';
import type { ModelConfig } from '../config.ts';
import type { GgufField, GgufOutput } from './gguf-bytes.ts';

/** What a GGUF file says of a Llama beside its weights and its tokenizer. */
export interface LlamaFields {
  readonly fields: Readonly<Record<string, GgufField>>;
  /** Divisors of the rotary frequencies, where they are scaled in a way that has no name in such files. */
  readonly tensors: readonly GgufOutput[];
}

/** @throws FileFormatError `ERR_CONFIG` for what such a file cannot say */
export function llamaFields(
  label: string,
  config: ModelConfig,
  shapes: ReadonlyMap<string, readonly number[]>,
): LlamaFields {
  const { part, before } = config.layout.layers[0]!.mixer;
  const refuse = (what: string): never => {
    throw new FileFormatError(`quantize: ${label}: ${what} cannot be said in a GGUF file; write a folder`, {
      code: 'ERR_CONFIG',
    });
  };
  if (part.kind !== 'attention') return refuse('a layer without attention');
  const { heads, keyValueHeads, headDim, rotary } = part;
  const feedForward = shapes.get('model.layers.0.mlp.gate_proj.weight')?.[0];
  if (!rotary || !before || feedForward === undefined) return refuse('such a layer');
  const own: Record<string, GgufField> = {
    block_count: ['u32', config.layers],
    context_length: ['u32', config.maxPositions],
    embedding_length: ['u32', config.hiddenSize],
    feed_forward_length: ['u32', feedForward],
    vocab_size: ['u32', config.vocabularySize],
    'attention.head_count': ['u32', heads],
    'attention.head_count_kv': ['u32', keyValueHeads],
    'attention.key_length': ['u32', headDim],
    'attention.value_length': ['u32', headDim],
    'attention.layer_norm_rms_epsilon': ['f32', before.epsilon],
    'rope.dimension_count': ['u32', headDim],
    'rope.freq_base': ['f32', rotary.theta],
  };
  const { scaling } = rotary;
  const divisors: number[] = [];
  if (scaling.kind === 'linear') {
    own['rope.scaling.type'] = ['string', 'linear'];
    own['rope.scaling.factor'] = ['f32', scaling.factor];
  } else if (scaling.kind === 'llama3') {
    const plain = rotaryFrequencies({ ...rotary, scaling: { kind: 'default' } }).inverseFrequencies;
    const scaled = rotaryFrequencies(rotary).inverseFrequencies;
    divisors.push(...plain.map((frequency, i) => frequency / scaled[i]!));
  } else if (scaling.kind !== 'default') refuse(`rotary scaling of the kind ${scaling.kind}`);
  return {
    fields: {
      ...Object.fromEntries(Object.entries(own).map(([key, field]) => [`llama.${key}`, field])),
      ...tokenIds(config),
    },
    tensors: divisors.length === 0 ? [] : [frequencyDivisors(divisors)],
  };
}

const frequencyDivisors = (divisors: readonly number[]): GgufOutput => ({
  name: 'rope_freqs.weight',
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
