import type { Notes } from './config/notes.ts';
import type { ModelDescription } from './families.ts';
import type { WeightFile } from './models/weight-file.ts';
import type { TokenizerResult } from './tokenizer.ts';

/** What a Hugging Face folder holds, ready to build a model from. */
export interface OpenModelFolder {
  /** The folder's path, or what the files call themselves. */
  readonly label: string;
  readonly model: ModelDescription;
  /** The tokenizer, or why there is none. */
  readonly tokenizer: TokenizerResult;
  /** Open; closed by `close`. Header checked, no data read. */
  readonly weights: WeightFile;
  /** What there is to say of the files. */
  readonly notes: Notes;
  /** Closes the weights; idempotent. */
  close(): Promise<void>;
}
