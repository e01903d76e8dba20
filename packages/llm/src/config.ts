import type { JsonFields } from './config/json-fields.ts';
import type { LlamaConfig } from './config/llama.ts';
import type { Notes } from './config/notes.ts';
import type { TokenizerTokens } from './config/special-tokens.ts';

/** The configuration of a model of any family that can be loaded; `architecture` tells them apart. */
export type ModelConfig = LlamaConfig;

/** The text of a configuration file, and what to call the file in messages. */
export interface ConfigFile {
  readonly label: string;
  readonly text: string;
}

/** What a configuration is read beside. */
export interface ConfigContext {
  /** `generation_config.json`, where there is one. */
  readonly generation: JsonFields | undefined;
  readonly tokenizer: TokenizerTokens | undefined;
  /** Takes what there is to say. */
  readonly notes: Notes;
}
