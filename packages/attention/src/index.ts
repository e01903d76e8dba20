import { name as tensor } from '@heddle/tensor';
/** Name of the package and of what it stands on. */
export const name: string = ['attention', tensor].join('<');
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
