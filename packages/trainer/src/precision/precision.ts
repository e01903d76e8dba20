import { ArgumentError } from '@heddle/tensor';
import { dynamicLossScale, type LossScale, staticLossScale } from './loss-scale.ts';

/**
 * How exactly a step computes. 'f32' takes weights as they are. 'f16' is mixed precision: parameters in f16 have master copies
 * in f32, which the optimizer changes and from which the f16 ones are rounded, and the loss is scaled, dynamically or as
 * `lossScale` says. What a model computes in f16 is the model's: give it f16 parameters, or let it cast.
 */
export type Precision = 'f32' | 'f16' | { readonly compute: 'f16'; readonly lossScale: LossScale | number };

/** Whether f16 parameters have f32 masters, and what scales the loss. */
export interface PrecisionPlan {
  readonly masters: boolean;
  readonly lossScale: LossScale | undefined;
}

/** @throws ArgumentError for what is no precision */
export function precisionPlan(precision: Precision | undefined): PrecisionPlan {
  if (precision === undefined || precision === 'f32') return { masters: false, lossScale: undefined };
  if (precision === 'f16') return { masters: true, lossScale: dynamicLossScale() as LossScale };
  if (
    typeof precision !== 'object' ||
    precision === null ||
    precision.compute !== 'f16' ||
    precision.lossScale === undefined
  )
    throw new ArgumentError(
      `train: precision takes 'f32', 'f16' and { compute: 'f16', lossScale }, got ${JSON.stringify(precision)}`,
    );
  const { lossScale } = precision;
  return {
    masters: true,
    lossScale: typeof lossScale === 'number' ? (staticLossScale(lossScale) as LossScale) : lossScale,
  };
}
