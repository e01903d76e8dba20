/**
 * `@heddle/trainer/lora`: low-rank adapters of linear layers, in PEFT's format. Needs `@heddle/tensor` only.
 */
export { createLora, type Lora, type LoraDropout, type LoraFactors, type WeightsByName } from './lora/lora.ts';
export { isTarget, type LoraOptions } from './lora/options.ts';
export { type AdapterFiles, adapterFiles, readAdapter } from './lora/peft-files.ts';
