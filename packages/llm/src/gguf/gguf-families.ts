import { cohere2, glm4, gpt2, granite, llama, mistral3, olmo2, phi3, qwen2, qwen3, smollm3 } from './families/dense.ts';
import { gemma2, gemma3, gemma4 } from './families/gemma.ts';
import type { GgufFamily } from './families/gguf-family.ts';
import { deepseek2, gptOss, qwen3moe } from './families/mixtures.ts';
import { qwen3next, qwen35 } from './families/qwen-hybrid.ts';
import { graniteHybrid, lfm2 } from './families/recurrent.ts';

/**
 * The families by the architecture that files name, for what keys a file has that are not 0. Names and transformations are those of
 * llama.cpp's converter.
 */
export const ggufFamilies: Readonly<Record<string, (has: (key: string) => boolean) => GgufFamily>> = {
  llama,
  mistral3: () => mistral3,
  qwen2: () => qwen2,
  qwen3: () => qwen3,
  qwen3moe: () => qwen3moe,
  qwen35: () => qwen35,
  qwen3next: () => qwen3next,
  phi3: () => phi3,
  gemma2: () => gemma2,
  gemma3: () => gemma3,
  gemma4: () => gemma4,
  smollm3: () => smollm3,
  olmo2,
  granite: () => granite,
  granitehybrid: () => graniteHybrid,
  lfm2: () => lfm2,
  gpt2: () => gpt2,
  'gpt-oss': () => gptOss,
  deepseek2: () => deepseek2,
  glm4: () => glm4,
  cohere2: () => cohere2,
};

/** Architectures of GGUF files that are read. */
export const ggufArchitectures: readonly string[] = Object.keys(ggufFamilies);

/** What files call the architecture of a model, by the name of its family here. */
export const ggufNamesOf: Readonly<Record<string, string>> = {
  llama: 'llama',
  mistral: 'llama',
  mixtral: 'llama',
  ministral3: 'mistral3',
  qwen2: 'qwen2',
  qwen3: 'qwen3',
  qwen3_moe: 'qwen3moe',
  qwen3_5: 'qwen35',
  qwen3_next: 'qwen3next',
  phi3: 'phi3',
  gemma2: 'gemma2',
  gemma3: 'gemma3',
  gemma4: 'gemma4',
  smollm3: 'smollm3',
  olmo2: 'olmo2',
  olmo3: 'olmo2',
  granite: 'granite',
  granite4: 'granitehybrid',
  lfm2: 'lfm2',
  gpt2: 'gpt2',
  gpt_oss: 'gpt-oss',
  deepseek_v3: 'deepseek2',
  glm4: 'glm4',
  cohere2: 'cohere2',
};
