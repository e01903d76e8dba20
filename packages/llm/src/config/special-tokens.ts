import type { JsonFields } from './json-fields.ts';
import type { Notes } from './notes.ts';

/**
 * Tokens with a role: from `generation_config.json` where it names them, otherwise from `config.json`, from the tokenizer, or
 * those that the family has by default. Where a file says `null` there is none.
 */
export interface SpecialTokens {
  readonly bosTokenId: number | undefined;
  /** Any of them ends a generation; may be empty. */
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | undefined;
}

/** What a tokenizer knows of the tokens that begin and end a text. */
export interface TokenizerTokens {
  readonly bosTokenId: number | undefined;
  readonly eosTokenId: number | undefined;
}

/** What transformers takes for the tokens of a family where its configuration has no field. */
export interface FamilyTokens {
  readonly bosTokenId: number | undefined;
  readonly eosTokenId: number | readonly number[] | undefined;
}

/** Where the tokens of a model are looked up. */
export interface SpecialTokenSources {
  readonly config: JsonFields;
  readonly generation: JsonFields | undefined;
  readonly tokenizer: TokenizerTokens | undefined;
  /** What transformers takes for the family where its configuration has no field. */
  readonly family: FamilyTokens;
  readonly vocabularySize: number;
}

/** Reads them; what is no token id is left out and noted, for logits need none. */
export function parseSpecialTokens(sources: SpecialTokenSources, notes: Notes): SpecialTokens {
  const { config, generation, tokenizer, family, vocabularySize } = sources;
  const stated = (name: string) => stateOf(generation, name, notes) ?? stateOf(config, name, notes);
  const otherwise = (name: string, known: number | undefined, usual: FamilyTokens['eosTokenId']): readonly number[] => {
    const from = known !== undefined ? 'the tokenizer' : 'the default of its family';
    const ids = [known ?? usual ?? []].flat().filter((id) => id < vocabularySize);
    if (ids.length > 0) notes.add(`${config.file}: ${name} is not there; ${ids.join(', ')} is taken, from ${from}`);
    return ids;
  };
  const bos = stated('bos_token_id') ?? otherwise('bos_token_id', tokenizer?.bosTokenId, family.bosTokenId);
  const eos = stated('eos_token_id') ?? otherwise('eos_token_id', tokenizer?.eosTokenId, family.eosTokenId);
  const last = tokenizer?.eosTokenId;
  if (last !== undefined && eos.length > 0 && !eos.includes(last))
    notes.add(`the tokenizer ends a text with token ${last}, the configuration with ${eos.join(', ')}, which counts`);
  return { bosTokenId: bos[0], eosTokenIds: eos, padTokenId: stated('pad_token_id')?.[0] };
}

/** The ids that a file states, none for `null`; undefined where it does not have the field. */
function stateOf(fields: JsonFields | undefined, name: string, notes: Notes): readonly number[] | undefined {
  if (!fields) return undefined;
  if (fields.isNull(name)) return [];
  const value = fields.value(name);
  if (value === undefined) return undefined;
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  const ids = list.filter((id): id is number => Number.isSafeInteger(id) && (id as number) >= 0);
  // early Llama configurations write -1 for no padding
  const none = name === 'pad_token_id' && value === -1;
  if (ids.length < list.length && !none)
    notes.deviate(
      `${fields.file}: ${name}: expected a token id or a list of token ids, got ${Array.isArray(value) ? JSON.stringify(value) : fields.show(name)}; ${ids.length > 0 ? `${ids.join(', ')} is taken` : 'it is left out'}`,
    );
  return ids;
}
