import { ArgumentError, checkArguments, checkOptions, type OptionKinds } from '@heddle/tensor';
import type { Checkpoint, Checkpoints } from '../checkpoint/checkpoints.ts';
import type { Json } from '../checkpoint/format.ts';
import type { BatchFor, TracedBatch } from '../model/batch.ts';
import type { TrainStepOptions } from '../step/options.ts';
import { isIterable } from './batches.ts';

/** When and on what a run is evaluated. */
export interface EvaluateOptions<B> {
  /** After each so many steps, and after the last of `steps`. */
  readonly every: number;
  /** The batches, anew for each evaluation. */
  readonly data: () => Iterable<B> | AsyncIterable<B>;
  /** Evaluates the moving averages instead of the weights; false where not named. */
  readonly averages?: boolean;
}

/** When a run that no longer improves ends. */
export interface EarlyStopping {
  /** Evaluations in a row that may bring no better loss. */
  readonly patience: number;
  /** How much better is better; 0 where not named. */
  readonly minDelta?: number;
}

/** When and where a run is saved. */
export interface SaveRunOptions {
  readonly to: Checkpoints;
  /** After each so many steps, and after the last of `steps`. */
  readonly every: number;
  /** Where the data stands: `() => stream.cursor`. */
  readonly data?: () => Json;
  readonly extra?: () => Json;
  /** Goes on from this one; steps are counted from where it stood, and the data is the caller's to set there. */
  readonly resumeFrom?: Checkpoint | undefined;
}

export interface TrainOptions<B extends BatchFor<B>, Output> extends TrainStepOptions<TracedBatch<NoInfer<B>>, Output> {
  /** Batches, one a step, read as steps need them. See `repeat` for going over them again. */
  readonly data: Iterable<B> | AsyncIterable<B>;
  /**
   * Batches of which each step takes the mean, one after the other: large batches in the memory of a small one. Exact where the
   * loss is a sum with a count. 1 where not named; a last step of fewer is taken too.
   */
  readonly accumulate?: number;
  /** How many steps in all; where it is not named, as many as there are batches. */
  readonly steps?: number;
  /** Stops before the next step; the iteration then throws the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * What a NaN or infinite loss or gradient norm does: 'throw' (where nothing is named) ends the training, 'skip' goes on with the
   * next batch. Either way that step changes neither weights nor the optimizer's state.
   */
  readonly nonFinite?: 'throw' | 'skip';
  /**
   * Steps that are submitted before the report of an earlier one is waited for: with 1 (where nothing is named) a GPU has the
   * next step while the last one's loss is read, and the weights that the body of the loop sees are one step ahead of the
   * report. With 0 they are those of the report: for looking at them at exact steps. Evaluations and checkpoints are always exact.
   */
  readonly stepsAhead?: 0 | 1;
  /** Tokens of a batch, for the reports; where it is not named, the number of values of its `tokens`, if it has them. */
  readonly tokens?: (batch: B) => number;
  readonly evaluate?: EvaluateOptions<B>;
  readonly earlyStopping?: EarlyStopping;
  readonly save?: SaveRunOptions;
  /** For the utilisation in the reports: operations that a token takes in a step, and those that the device can do in a second. */
  readonly flops?: { readonly perToken: number; readonly perSecond: number };
}

/** What a run takes beside a step. */
export const trainKinds: OptionKinds = {
  data: 'anything',
  accumulate: 'anything',
  steps: 'anything',
  signal: 'object?',
  nonFinite: 'anything',
  stepsAhead: 'anything',
  tokens: 'function?',
  evaluate: 'object?',
  earlyStopping: 'object?',
  save: 'object?',
  flops: 'object?',
};

/** @throws ArgumentError naming the option */
export function checkTrainOptions(options: Omit<TrainOptions<never, never>, 'model' | 'loss' | 'optimizer'>): void {
  const { steps, stepsAhead = 1, nonFinite = 'throw', accumulate = 1, evaluate, earlyStopping, save, flops } = options;
  const whole = (name: string, value: unknown) => {
    if (!(Number.isSafeInteger(value) && (value as number) > 0))
      throw new ArgumentError(`train: ${name} must be a whole number from 1, got ${String(value)}`);
  };
  if (steps !== undefined) whole('steps', steps);
  whole('accumulate', accumulate);
  if (stepsAhead !== 0 && stepsAhead !== 1)
    throw new ArgumentError(`train: stepsAhead must be 0 or 1, got ${stepsAhead}`);
  if (nonFinite !== 'throw' && nonFinite !== 'skip')
    throw new ArgumentError(`train: nonFinite must be 'throw' or 'skip', got ${String(nonFinite)}`);
  if (!isIterable(options.data))
    throw new ArgumentError(`train: data must be an iterable of batches, got ${typeof options.data}`);
  if (evaluate) {
    checkOptions('train: evaluate', evaluate, ['every', 'data', 'averages']);
    whole('evaluate.every', evaluate.every);
    if (typeof evaluate.data !== 'function')
      throw new ArgumentError('train: evaluate.data must be a function that gives the batches');
    if (evaluate.averages && !options.average) throw new ArgumentError('train: evaluate.averages needs `average`');
  }
  if (earlyStopping !== undefined) {
    checkOptions('train: earlyStopping', earlyStopping, { patience: 'number', minDelta: 'number?' });
    whole('earlyStopping.patience', earlyStopping.patience);
    if (!(earlyStopping.minDelta === undefined || earlyStopping.minDelta >= 0))
      throw new ArgumentError(`train: earlyStopping.minDelta must not be negative, got ${earlyStopping.minDelta}`);
    if (!evaluate) throw new ArgumentError('train: earlyStopping needs `evaluate`');
  }
  if (save) {
    checkOptions('train: save', save, ['to', 'every', 'data', 'extra', 'resumeFrom']);
    whole('save.every', save.every);
    checkArguments('train', 'function', { 'save.to.save': save.to?.save });
  }
  if (options.signal !== undefined)
    checkArguments('train', 'function', { 'signal.throwIfAborted': options.signal?.throwIfAborted });
  if (flops !== undefined) checkOptions('train: flops', flops, { perToken: 'positive', perSecond: 'positive' });
}
