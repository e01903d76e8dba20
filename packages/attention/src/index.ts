export type { AttendSpec, AttentionKernel } from './attention-kernel.ts';
export type { KvView } from './kv-view.ts';
export { type RotaryFrequencies, rotaryFrequencies } from './rotary-frequencies.ts';
export type {
  DefaultRotary,
  DynamicRotary,
  LinearRotary,
  Llama3Rotary,
  LongRopeRotary,
  RotaryScaling,
  RotarySpec,
  YarnRotary,
} from './rotary-spec.ts';
