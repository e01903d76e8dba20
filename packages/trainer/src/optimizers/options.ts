import { ArgumentError, type OptionKinds } from '@heddle/tensor';
import { constantSchedule, type Schedule } from '../schedules/schedule.ts';
import type { Parameter } from './optimizer.ts';

/** What every optimizer takes. */
export interface LearningRateOption {
  /** A number, or a value by step. */
  readonly learningRate: number | Schedule;
}

/** How parameters are drawn towards zero. */
export interface DecayOptions {
  /** Share of a parameter that a step takes away, times the learning rate. */
  readonly weightDecay?: number;
  /** Which parameters decay; those of two or more dimensions where not named (no norms, no biases). */
  readonly decays?: (parameter: Parameter) => boolean;
}

/** What every optimizer takes, for `checkOptions`. */
export const commonKinds: OptionKinds = { learningRate: 'anything', weightDecay: 'number?', decays: 'function?' };

/** The schedule of a learning rate. @throws ArgumentError for what is neither a number from 0 nor a function */
export function learningRateOf(name: string, { learningRate }: LearningRateOption): Schedule {
  if (typeof learningRate === 'function') return learningRate;
  return constantSchedule(fromZero(name, 'learningRate', learningRate));
}

/** Which parameters lose `weightDecay` in a step, and that share. @throws ArgumentError */
export function decayOf(
  name: string,
  options: DecayOptions,
  byDefault: number,
): { readonly weightDecay: number; readonly decays: (parameter: Parameter) => boolean } {
  const weightDecay = fromZero(name, 'weightDecay', options.weightDecay ?? byDefault);
  const { decays = ({ value }) => value.rank >= 2 } = options;
  return { weightDecay, decays: (parameter) => weightDecay > 0 && decays(parameter) };
}

/** @throws ArgumentError for what is no finite number from 0 */
export function fromZero(name: string, option: string, value: number): number {
  if (typeof value !== 'number' || !Number.isFinite(value))
    throw new ArgumentError(`${name}: ${option} must be a finite number, got ${String(value)}`);
  if (value < 0) throw new ArgumentError(`${name}: ${option} must not be negative, got ${value}`);
  return value;
}

/** @throws ArgumentError for what is no finite number above 0 */
export function aboveZero(name: string, option: string, value: number): number {
  if (!(value > 0 && Number.isFinite(value)))
    throw new ArgumentError(`${name}: ${option} must be positive, got ${String(value)}`);
  return value;
}

/** @throws ArgumentError for shares that a running mean cannot keep */
export function belowOne(name: string, option: string, ...values: readonly number[]): void {
  for (const value of values)
    if (typeof value !== 'number' || !(value >= 0 && value < 1))
      throw new ArgumentError(`${name}: ${option} must be in [0, 1), got ${String(value)}`);
}
