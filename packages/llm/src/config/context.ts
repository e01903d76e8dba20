import type { JsonFields } from './json-fields.ts';
import type { Notes } from './notes.ts';
import type { TokenizerTokens } from './special-tokens.ts';

/** What a configuration is read beside. */
export interface ConfigContext {
  /** `generation_config.json`, where there is one. */
  readonly generation: JsonFields | undefined;
  readonly tokenizer: TokenizerTokens | undefined;
  /** Takes what there is to say. */
  readonly notes: Notes;
}
