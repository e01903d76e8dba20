import type { KernelNames } from '@heddle/tensor';
import type { FunctionsInKernel } from '../../flex/emit.wgsl.ts';
import { f32, lowest } from '../../tiles/score.wgsl.ts';
import type { PackedAttributes, PackedSetting } from '../attributes.ts';
import { placeText } from './score-functions.wgsl.ts';

/** Settings that the kernels of a GPU know. An attention with another one is decomposed. */
export const knownSettings: readonly PackedSetting[] = [
  'sinks',
  'keepFirst',
  'valueDim',
  'starts',
  'keyPositions',
  'lse',
  'softcap',
  'quantized',
  'functions',
];

/**
 * What the kernels of a packed attention ask of a score and of a cached key, in WGSL:
 *
 * - `score_of(product) -> f32`; with functions `score_of(product, place)`, see `placeText` and `scoreIn`
 * - `is_near(position, other) -> bool`: whether a row at `position` sees a key at the position `other` or before, as windows say
 * - `cached_of(segment) -> u32`: cached tokens of a sequence that are in its block table
 * - `cached_position(key) -> i32`: the position of such a token of `sequence`
 * - `first_cached(position, segment) -> u32`: a token before which none is seen from `position` or behind
 * - `first_logit(head)` and `first_weight()`: maximum and sum of weights before any key
 *
 * Uses `sequence`, and `slot_of` of `slotText`.
 */
export function packedScoreText(
  names: KernelNames,
  attributes: PackedAttributes,
  functions: FunctionsInKernel | undefined,
): string {
  const { at, prelude } = names;
  const { scale, window, keepFirst, softcap, cache, inputs } = attributes;
  const score =
    softcap === undefined
      ? `product * ${f32(scale)}`
      : `${f32(softcap)} * ${prelude.safe_tanh}(product * ${f32(scale)} / ${f32(softcap)})`;
  const near = window === undefined ? 'true' : `position - other < ${window}`;
  const startOf = (sequence: string) => (inputs.includes('starts') ? `${at.starts}(u32(${sequence}))` : '0');
  const begin =
    window === undefined || leavesGaps(attributes)
      ? '0u'
      : `u32(max(position - ${window - 1} - ${startOf('segment')}, 0))`;
  const place = inputs.includes('keyPositions')
    ? `${at.key_positions}(slot_of(key))`
    : inputs.includes('starts')
      ? `i32(key) + ${startOf('sequence')}`
      : 'i32(key)';
  const sinks = inputs.includes('sinks');
  const scoreOf = functions
    ? `${placeText(names, attributes, functions)}
fn score_of(product: f32, place: Place) -> f32 { return ${functions.traced.score ? `score_mod(${score}, place)` : score}; }`
    : `fn score_of(product: f32) -> f32 { return ${score}; }`;
  return `
${scoreOf}
fn is_near(position: i32, other: i32) -> bool { return ${keepFirst === undefined ? near : `(${near}) || other < ${keepFirst}`}; }
fn first_logit(head: u32) -> f32 { return ${sinks ? `${at.sinks}(head)` : lowest}; }
fn first_weight() -> f32 { return ${sinks ? '1.0' : '0.0'}; }
${
  cache
    ? `fn cached_of(segment: i32) -> u32 { return u32(max(${at.lengths}(u32(segment)) - ${startOf('segment')}, 0)); }
fn cached_position(key: u32) -> i32 { return ${place}; }
fn first_cached(position: i32, segment: i32) -> u32 { return ${begin}; }`
    : ''
}`;
}

/** WGSL of a score, and of whether a key that windows show is seen: with functions by its `place`, an expression of a `Place`. */
export function scoreIn(functions: FunctionsInKernel | undefined): {
  readonly score: (product: string, place: string) => string;
  readonly seen: (shown: string, place: string) => string;
} {
  return {
    score: (product, place) => (functions ? `score_of(${product}, ${place})` : `score_of(${product})`),
    seen: (shown, place) => (functions?.traced.mask ? `${shown} && mask_mod(${place})` : shown),
  };
}

/** Whether the positions of a sequence's cached tokens are anything else than their number. */
export const placedElsewhere = ({ inputs }: PackedAttributes): boolean =>
  inputs.includes('starts') || inputs.includes('keyPositions');

/** Whether a window leaves out cached keys between others that are seen; otherwise those that it leaves out come first. */
export const leavesGaps = ({ window, keepFirst, inputs }: PackedAttributes): boolean =>
  window !== undefined && (keepFirst !== undefined || inputs.includes('keyPositions'));
