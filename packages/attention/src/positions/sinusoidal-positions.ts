import { ArgumentError, checkArguments, checkOptions, type Device } from '@heddle/tensor';
import { type PositionModule, positionModule } from './position-module.ts';

/** Options of `createSinusoidalPositions`. */
export interface SinusoidalPositionsOptions {
  /** P */
  readonly maxPositions: number;
  /** E, even */
  readonly width: number;
  /** Base of the wavelengths; by default 10000. */
  readonly base?: number;
  /** Sines in the first half of a row and cosines in the second, as in fairseq and Whisper; by default they alternate. */
  readonly halves?: boolean;
}

/**
 * Fixed positions: at position p, component pair i holds the sine and cosine of p / base^(2i / E), computed in float64.
 * Source: https://arxiv.org/abs/1706.03762
 * @returns The caller's to dispose of.
 * @throws ArgumentError, OutOfMemoryError
 */
export function createSinusoidalPositions(device: Device, options: SinusoidalPositionsOptions): PositionModule {
  checkArguments('createSinusoidalPositions', 'device', { device });
  checkOptions('createSinusoidalPositions', options, {
    maxPositions: 'size',
    width: 'size',
    base: 'positive?',
    halves: 'boolean?',
  });
  const { maxPositions, width, base = 10000, halves = false } = options;
  if (width % 2 !== 0) throw new ArgumentError(`createSinusoidalPositions: width must be even, got ${width}`);
  const values = new Float64Array(maxPositions * width);
  for (let p = 0; p < maxPositions; p++)
    for (let i = 0; i < width / 2; i++) {
      const angle = p / base ** ((2 * i) / width);
      const [sine, cosine] = halves ? [i, i + width / 2] : [2 * i, 2 * i + 1];
      values[p * width + sine] = Math.sin(angle);
      values[p * width + cosine] = Math.cos(angle);
    }
  return positionModule(
    'sinusoidal positions',
    device.tensor(values, { shape: [maxPositions, width], dtype: 'f32' }),
    {},
  );
}
