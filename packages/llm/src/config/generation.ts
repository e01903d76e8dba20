import type { JsonFields } from './json-fields.ts';

/** How a model's authors suggest to generate with it; absent where they say nothing. */
export interface GenerationDefaults {
  /** Whether to sample; otherwise greedy. */
  readonly sample: boolean;
  readonly temperature: number | undefined;
  readonly topK: number | undefined;
  readonly topP: number | undefined;
}

/** Tokens with a role, from `generation_config.json` where it names them, otherwise from `config.json`. */
export interface SpecialTokens {
  readonly bosTokenId: number | undefined;
  /** Any of them ends a generation; may be empty. */
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | undefined;
}

/** @throws FileFormatError `ERR_CONFIG`. */
export function parseGenerationDefaults(generation: JsonFields | undefined): GenerationDefaults {
  // Zero switches top-k off, and so does a top-p of one.
  const topK = generation?.optionalInteger('top_k', { min: 0 });
  const topP = generation?.optionalNumber('top_p', { min: 0 });
  if (topP !== undefined && topP > 1) generation?.fail('top_p', 'a number from 0 to 1');
  return {
    sample: generation?.boolean('do_sample', false) ?? false,
    temperature: generation?.optionalNumber('temperature', { min: 0 }),
    topK: topK === 0 ? undefined : topK,
    topP: topP === 1 ? undefined : topP,
  };
}

/** @throws FileFormatError `ERR_CONFIG`. */
export function parseSpecialTokens(config: JsonFields, generation: JsonFields | undefined): SpecialTokens {
  const ids = (name: string) => generation?.optionalTokenIds(name) ?? config.optionalTokenIds(name) ?? [];
  return {
    bosTokenId: ids('bos_token_id')[0],
    eosTokenIds: ids('eos_token_id'),
    padTokenId: padTokenId(generation) ?? padTokenId(config),
  };
}

/** Early Llama configurations write -1 for none. */
function padTokenId(fields: JsonFields | undefined): number | undefined {
  const id = fields?.optionalInteger('pad_token_id', { min: -1 });
  return id === -1 ? undefined : id;
}
