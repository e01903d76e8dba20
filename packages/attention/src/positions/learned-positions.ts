import { calledAs, checkArguments, checkOptions, type Device, randomNormal } from '@heddle/tensor';
import { type PositionModule, positionModule } from './position-module.ts';

/** Options of `createLearnedPositions`. */
export interface LearnedPositionsOptions {
  /** P */
  readonly maxPositions: number;
  /** E */
  readonly width: number;
  readonly seed: number;
  /** Of the normal distribution that rows are drawn from; by default 0.02. */
  readonly deviation?: number;
  readonly dtype?: 'f32' | 'f16';
  /** By default 'positions'. */
  readonly name?: string;
}

/**
 * Positions as a table that is trained, as in GPT-2.
 * @returns The caller's to dispose of.
 * @throws ArgumentError, OutOfMemoryError
 */
export async function createLearnedPositions(
  device: Device,
  options: LearnedPositionsOptions,
): Promise<PositionModule> {
  checkArguments('createLearnedPositions', 'device', { device });
  checkOptions('createLearnedPositions', options, {
    maxPositions: 'size',
    width: 'size',
    seed: 'whole',
    deviation: 'number?',
    dtype: [undefined, 'f32', 'f16'],
    name: 'text?',
  });
  return calledAs('createLearnedPositions', async () => {
    const { maxPositions, width, seed, deviation = 0.02, dtype = 'f32', name = 'positions' } = options;
    const table = device.zeroVariable([maxPositions, width], { dtype, name });
    try {
      await device.realize([], [table.assign(randomNormal(device, [maxPositions, width], seed, { deviation, dtype }))]);
    } catch (error) {
      table.dispose();
      throw error;
    }
    return positionModule('learned positions', table, { table });
  });
}
