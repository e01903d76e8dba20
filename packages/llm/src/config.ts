import type { LlamaConfig } from './config/llama.ts';

/** The configuration of a model of any family that can be loaded; `architecture` tells them apart. */
export type ModelConfig = LlamaConfig;

/** The text of a configuration file, and what to call the file in messages. */
export interface ConfigFile {
  readonly label: string;
  readonly text: string;
}
