import { ArgumentError, checkOptions, type DType, type Tensor, where } from '@heddle/tensor';

/** Makes a scalar of the state, f32 unless named otherwise. It belongs to whoever called `init`. */
export type AllocateScalar = (name: string, value: number, dtype?: DType) => Tensor;

/**
 * What a loss is multiplied by before its gradients are taken, which are divided by it again: small gradients would be 0 in
 * f16. Pure, as an optimizer: it records and keeps nothing.
 */
export interface LossScale<S = unknown> {
  /** The state before the first step: nested arrays and plain objects of what `allocate` gives. */
  init(allocate: AllocateScalar): S;
  /** Records the scale, an f32 scalar. */
  scale(state: S, like: Tensor): Tensor;
  /** Records the state after a step. `applied` is a bool scalar: false where a gradient was NaN or infinite. */
  update(state: S, applied: Tensor): S;
}

/** One scale for all steps. @throws ArgumentError where it is not positive */
export function staticLossScale(scale: number): LossScale<readonly []> {
  positive('staticLossScale', 'the scale', scale);
  return { init: () => [], scale: (_, like) => like.device.full([], scale), update: (state) => state };
}

/** Options of `dynamicLossScale`. */
export interface DynamicLossScaleOptions {
  /** The scale of the first step; 65,536 where not named. */
  readonly initial?: number;
  /** What the scale is multiplied by after `interval` good steps; 2 where not named. */
  readonly growth?: number;
  /** What the scale is multiplied by after a step whose gradients overflowed; 0.5 where not named. */
  readonly backoff?: number;
  /** Good steps in a row before the scale grows; 2,000 where not named. */
  readonly interval?: number;
  /** Bounds of the scale; 2^-14 and 2^24 where not named. */
  readonly minimum?: number;
  readonly maximum?: number;
}

/** The scale, and the good steps in a row. */
export interface DynamicLossScaleState {
  readonly scale: Tensor;
  readonly goodSteps: Tensor;
}

/**
 * A scale that grows after steps that went well, and falls after one whose gradients overflowed, which is skipped: all on the
 * device. As PyTorch's `GradScaler`. Source: https://arxiv.org/abs/1710.03740
 * @throws ArgumentError for factors and bounds that make no sense
 */
export function dynamicLossScale(options: DynamicLossScaleOptions = {}): LossScale<DynamicLossScaleState> {
  checkOptions('dynamicLossScale', options, ['initial', 'growth', 'backoff', 'interval', 'minimum', 'maximum']);
  const { initial = 2 ** 16, growth = 2, backoff = 0.5, interval = 2000 } = options;
  const { minimum = 2 ** -14, maximum = 2 ** 24 } = options;
  const name = 'dynamicLossScale';
  for (const [option, value] of Object.entries({ initial, minimum, maximum })) positive(name, option, value);
  if (!(growth >= 1 && Number.isFinite(growth)))
    throw new ArgumentError(`${name}: growth must be at least 1, got ${growth}`);
  if (!(backoff > 0 && backoff <= 1)) throw new ArgumentError(`${name}: backoff must be in (0, 1], got ${backoff}`);
  if (!Number.isSafeInteger(interval) || interval < 1)
    throw new ArgumentError(`${name}: interval must be a whole number from 1, got ${interval}`);
  if (!(minimum <= initial && initial <= maximum))
    throw new ArgumentError(`${name}: initial must be between ${minimum} and ${maximum}, got ${initial}`);
  return {
    init: (allocate) => ({ scale: allocate('scale', initial), goodSteps: allocate('goodSteps', 0, 'i32') }),
    scale: ({ scale }) => scale,
    update({ scale, goodSteps }, applied) {
      const good = goodSteps.add(1);
      const grows = good.greaterEqual(interval);
      const after = where(applied, where(grows, scale.mul(growth), scale), scale.mul(backoff)).clip(minimum, maximum);
      return {
        scale: after,
        goodSteps: where(applied.and(grows.not()), good, 0),
      };
    },
  };
}

function positive(name: string, option: string, value: number): void {
  if (!(value > 0 && Number.isFinite(value)))
    throw new ArgumentError(`${name}: ${option} must be positive, got ${String(value)}`);
}
