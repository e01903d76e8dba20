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
