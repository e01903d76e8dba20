import type { AttentionLayout, DecoderLayout, ExpertsLayout, MixerLayout } from '../../models/decoder/layout.ts';
import type { DeltaNetLayout, Mamba2Layout, ShortConvolutionLayout } from '../../models/decoder/recurrent-layouts.ts';
import type { GgufField } from '../gguf-field.ts';

type Mixers = {
  readonly attention: AttentionLayout;
  readonly 'delta-net': DeltaNetLayout;
  readonly mamba2: Mamba2Layout;
  readonly 'short-convolution': ShortConvolutionLayout;
};

/** The first mixer of a kind. */
export function mixerOf<K extends keyof Mixers>({ layers }: DecoderLayout, kind: K): Mixers[K] | undefined {
  const isKind = (part: MixerLayout) => part.kind === kind;
  return layers.map(({ mixer }) => mixer.part).find(isKind) as Mixers[K] | undefined;
}

/** The first experts. */
export function expertsOf({ layers }: DecoderLayout): ExpertsLayout | undefined {
  for (const { feedForward } of layers) if (feedForward.part.kind === 'experts') return feedForward.part;
  return undefined;
}

/** Width of what every row has beside its experts. */
export function sharedSize({ shared }: ExpertsLayout): number | undefined {
  return shared?.part.down.inSize;
}

export const u32 = (value: number | undefined): GgufField | undefined =>
  value === undefined ? undefined : ['u32', value];
export const f32 = (value: number | undefined): GgufField | undefined =>
  value === undefined ? undefined : ['f32', value];

/** A number for all layers where it is the same, or one for each. */
export function perLayer(values: readonly number[]): GgufField {
  return values.every((value) => value === values[0]) ? ['u32', values[0] ?? 0] : ['i32s', values];
}

/** What a file says of experts. */
export function expertFields(layout: DecoderLayout): Readonly<Record<string, GgufField | undefined>> {
  const experts = expertsOf(layout);
  return {
    expert_count: u32(experts?.count),
    expert_used_count: u32(experts?.perToken),
    expert_feed_forward_length: u32(experts?.down.inSize),
  };
}
