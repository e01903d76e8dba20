import { ArgumentError, checkArguments, checkOptions, type OptionKinds } from '@heddle/tensor';
import type { Llama3Rotary, LongRopeRotary, RotarySpec, YarnRotary } from './rotary-spec.ts';

/** What rotates a head: component pair i at position p turns by `p * inverseFrequencies[i]` radians. */
export interface RotaryFrequencies {
  /** [dim / 2], radians per position. */
  readonly inverseFrequencies: Float64Array;
  /** Scale of cosine and sine; 1 but for yarn and longrope. */
  readonly attentionFactor: number;
}

/**
 * The frequencies of a rotary embedding, the same as Hugging Face transformers computes but in float64.
 *
 * @param sequenceLength Positions that are in use, for the kinds that depend on it (`dynamic`, `longrope`); without it
 *   those of the pretraining.
 * @returns New arrays, the caller's.
 * @throws ArgumentError `ERR_ARGUMENT` if the spec is out of range.
 */
export function rotaryFrequencies(spec: RotarySpec, sequenceLength?: number): RotaryFrequencies {
  checkOptions('rotaryFrequencies', spec, { theta: 'positive', dim: 'size', scaling: 'object' });
  checkArguments('rotaryFrequencies', 'size?', { sequenceLength });
  checkScaling(spec.scaling);
  checkSpec(spec);
  const { theta, dim, scaling } = spec;
  switch (scaling.kind) {
    case 'default':
      return plain(baseFrequencies(theta, dim));
    case 'linear':
      return plain(baseFrequencies(theta, dim).map((frequency) => frequency / scaling.factor));
    case 'dynamic': {
      const { factor, maxPositions } = scaling;
      const length = Math.max(sequenceLength ?? maxPositions, maxPositions);
      const growth = (factor * length) / maxPositions - (factor - 1);
      return plain(baseFrequencies(theta * growth ** (dim / (dim - 2)), dim));
    }
    case 'llama3':
      return plain(baseFrequencies(theta, dim).map((frequency) => llama3Frequency(frequency, scaling)));
    case 'yarn':
      return yarn(theta, dim, scaling);
    case 'longrope':
      return longRope(theta, dim, scaling, sequenceLength);
    case 'proportional': {
      const turning = Math.floor((scaling.share * dim) / 2);
      return plain(baseFrequencies(theta, dim).map((frequency, i) => (i < turning ? frequency / scaling.factor : 0)));
    }
  }
}

/** theta^(-2i / dim) for each pair i. */
function baseFrequencies(theta: number, dim: number): Float64Array {
  return Float64Array.from({ length: dim / 2 }, (_, i) => theta ** ((-2 * i) / dim));
}

function plain(inverseFrequencies: Float64Array): RotaryFrequencies {
  return { inverseFrequencies, attentionFactor: 1 };
}

function llama3Frequency(frequency: number, scaling: Llama3Rotary): number {
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions } = scaling;
  // How often the component turns over the original context.
  const rotations = (originalMaxPositions * frequency) / (2 * Math.PI);
  if (rotations > high) return frequency;
  if (rotations < low) return frequency / factor;
  const kept = (rotations - low) / (high - low);
  return (1 - kept) * (frequency / factor) + kept * frequency;
}

function yarn(theta: number, dim: number, scaling: YarnRotary): RotaryFrequencies {
  const { factor, betaFast, betaSlow, originalMaxPositions, truncate } = scaling;
  // The component that turns so many times over the original context.
  const component = (rotations: number) =>
    (dim * Math.log(originalMaxPositions / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  const round = truncate ? { down: Math.floor, up: Math.ceil } : { down: Number, up: Number };
  const from = Math.max(round.down(component(betaFast)), 0);
  const to = Math.min(round.up(component(betaSlow)), dim - 1);
  // A ramp of no length would divide by zero.
  const length = from === to ? 0.001 : to - from;
  const inverseFrequencies = baseFrequencies(theta, dim).map((frequency, i) => {
    const interpolated = Math.min(Math.max((i - from) / length, 0), 1);
    return interpolated * (frequency / factor) + (1 - interpolated) * frequency;
  });
  return { inverseFrequencies, attentionFactor: scaling.attentionFactor ?? yarnAttentionFactor(scaling) };
}

function yarnAttentionFactor({ factor, mscale, mscaleAllDim }: YarnRotary): number {
  const scale = (multiplier: number) => (factor <= 1 ? 1 : 0.1 * multiplier * Math.log(factor) + 1);
  return mscale && mscaleAllDim ? scale(mscale) / scale(mscaleAllDim) : scale(1);
}

function longRope(theta: number, dim: number, scaling: LongRopeRotary, length: number | undefined): RotaryFrequencies {
  const { factor, originalMaxPositions, shortFactors, longFactors } = scaling;
  const divisors = length !== undefined && length > originalMaxPositions ? longFactors : shortFactors;
  const grown = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalMaxPositions));
  return {
    inverseFrequencies: baseFrequencies(theta, dim).map((frequency, i) => frequency / divisors[i]!),
    attentionFactor: scaling.attentionFactor ?? grown,
  };
}

/** Names of each kind's numbers, without the kind itself. */
const scalingKinds: Readonly<Record<RotarySpec['scaling']['kind'], OptionKinds>> = {
  default: {},
  linear: { factor: 'positive' },
  dynamic: { factor: 'positive', maxPositions: 'positive' },
  llama3: {
    factor: 'positive',
    lowFrequencyFactor: 'positive',
    highFrequencyFactor: 'positive',
    originalMaxPositions: 'positive',
  },
  yarn: {
    factor: 'positive',
    originalMaxPositions: 'positive',
    attentionFactor: 'positive?',
    betaFast: 'positive',
    betaSlow: 'positive',
    mscale: 'number?',
    mscaleAllDim: 'number?',
    truncate: 'boolean?',
  },
  longrope: {
    factor: 'positive',
    shortFactors: 'numbers',
    longFactors: 'numbers',
    originalMaxPositions: 'positive',
    attentionFactor: 'positive?',
  },
  proportional: { share: 'number', factor: 'positive' },
};

function checkScaling(scaling: RotarySpec['scaling']): void {
  if (!Object.hasOwn(scalingKinds, scaling.kind))
    throw new ArgumentError(
      `rotaryFrequencies: scaling.kind must be one of ${Object.keys(scalingKinds).join(', ')}, got ${String(scaling.kind)}`,
    );
  const { kind, ...numbers } = scaling;
  checkOptions(`rotaryFrequencies (${kind})`, numbers, scalingKinds[kind]);
}

function checkSpec({ theta, dim, scaling }: RotarySpec): void {
  const fail = (rule: string, got: unknown): never => {
    throw new ArgumentError(`rotaryFrequencies (${scaling.kind}): ${rule}, got ${String(got)}`);
  };
  const positive = (name: string, value: number) => {
    if (!(value > 0 && Number.isFinite(value))) fail(`${name} must be a positive number`, value);
  };
  if (dim % 2 !== 0) fail('dim must be a positive even integer', dim);
  if (scaling.kind === 'proportional' && !(scaling.share > 0 && scaling.share <= 1))
    fail('share must be in (0, 1]', scaling.share);
  if (scaling.kind === 'dynamic' && dim < 4) fail('dim must be at least 4', dim);
  if (scaling.kind === 'yarn' && theta === 1) fail('theta must not be 1', theta);
  if (scaling.kind === 'llama3' && scaling.highFrequencyFactor <= scaling.lowFrequencyFactor)
    fail(
      `highFrequencyFactor must be greater than lowFrequencyFactor ${scaling.lowFrequencyFactor}`,
      scaling.highFrequencyFactor,
    );
  if (scaling.kind !== 'longrope') return;
  for (const name of ['shortFactors', 'longFactors'] as const) {
    const factors = scaling[name];
    if (factors.length !== dim / 2) fail(`${name} must hold dim / 2 = ${dim / 2} numbers`, factors.length);
    for (const factor of factors) positive(name, factor);
  }
}
