import { ArgumentError, calledAs, checkArguments, checkOptions, type Device, type Tensor } from '@heddle/tensor';
import { rotaryFrequencies } from './rotary-frequencies.ts';
import type { RotarySpec } from './rotary-spec.ts';

/** Cosine and sine of every position's angles: `[P, R / 2]` each, R the rotated part of a head. */
export interface RotaryTable {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/**
 * The table of a rotary embedding for positions 0 to `maxPositions - 1`, computed in float64 and rounded once, the attention
 * factor of yarn and longrope included.
 *
 * @param options `dtype`: f32 (default) or f16; `sequenceLength`: positions in use, for the kinds whose frequencies depend on
 *   it (`dynamic`, `longrope`)
 * @returns Two tensors on `device`, the caller's to dispose of.
 * @throws ArgumentError for a spec or number of positions out of range
 */
export function rotaryTable(
  device: Device,
  spec: RotarySpec,
  maxPositions: number,
  options: { readonly dtype?: 'f32' | 'f16'; readonly sequenceLength?: number } = {},
): RotaryTable {
  checkArguments('rotaryTable', 'device', { device });
  checkOptions('rotaryTable', options, { dtype: [undefined, 'f32', 'f16'], sequenceLength: 'size?' });
  const { dtype = 'f32', sequenceLength } = options;
  if (!Number.isSafeInteger(maxPositions) || maxPositions < 1)
    throw new ArgumentError(`rotaryTable: maxPositions must be a positive integer, got ${maxPositions}`);
  const { inverseFrequencies, attentionFactor } = calledAs('rotaryTable', () =>
    rotaryFrequencies(spec, sequenceLength),
  );
  const half = inverseFrequencies.length;
  const tabulate = (f: (angle: number) => number) => {
    const values = new Float64Array(maxPositions * half);
    for (let i = 0; i < values.length; i++)
      values[i] = attentionFactor * f(Math.floor(i / half) * inverseFrequencies[i % half]!);
    return device.tensor(values, { shape: [maxPositions, half], dtype });
  };
  const cos = tabulate(Math.cos);
  try {
    return { cos, sin: tabulate(Math.sin) };
  } catch (error) {
    cos.dispose();
    throw error;
  }
}
