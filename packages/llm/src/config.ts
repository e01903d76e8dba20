import type { GenerationDefaults } from './config/generation.ts';
import type { SpecialTokens } from './config/special-tokens.ts';
import type { DecoderLayout } from './models/decoder/layout.ts';

/** The configuration of a model of any family: what its files say, in one form for all of them. */
export interface ModelConfig extends SpecialTokens {
  /** Its family: `llama`, `qwen3`, ... */
  readonly architecture: string;
  /** V */
  readonly vocabularySize: number;
  /** E */
  readonly hiddenSize: number;
  readonly layers: number;
  /** Longest sequence, in tokens. With dynamic rotary scaling `factor` times what the files say. */
  readonly maxPositions: number;
  /** Whether the output projection is the token embedding; a loaded model says what its file settled. */
  readonly tieWordEmbeddings: boolean;
  /** What its layers are made of. */
  readonly layout: DecoderLayout;
  readonly generation: GenerationDefaults;
}

/** The text of a configuration file, and what to call the file in messages. */
export interface ConfigFile {
  readonly label: string;
  readonly text: string;
}
