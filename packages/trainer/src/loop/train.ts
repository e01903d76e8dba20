import { ArgumentError } from '@heddle/tensor';
import { TrainingError } from '../errors.ts';
import { type Batch, type BatchFor, maskedEntirely, type TracedBatch, valueCount } from '../model/batch.ts';
import { trainedParameters } from '../model/parameters.ts';
import type { TrainStepOptions } from '../step/options.ts';
import { createTrainStep, type StepResult } from '../step/train-step.ts';
import { closed, grouped, isIterable, iteratorOf } from './batches.ts';

export interface TrainOptions<B extends BatchFor<B>, Output> extends TrainStepOptions<TracedBatch<NoInfer<B>>, Output> {
  /** Batches, one a step, read as steps need them. See `repeat` for going over them again. */
  readonly data: Iterable<B> | AsyncIterable<B>;
  /**
   * Batches of which each step takes the mean, one after the other: large batches in the memory of a small one. Exact where the
   * loss is a sum with a count. 1 where not named; a last step of fewer is taken too.
   */
  readonly accumulate?: number;
  /** How many steps; where it is not named, as many as there are batches. */
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
   * report. With 0 they are those of the report: for evaluating or saving at exact steps.
   */
  readonly stepsAhead?: 0 | 1;
  /** Tokens of a batch, for the reports; where it is not named, the number of values of its `tokens`, if it has them. */
  readonly tokens?: (batch: B) => number;
}

/** What happened in one step. */
export interface StepReport extends StepResult {
  /** Tokens of the step; undefined where nothing says what a token is. */
  readonly tokens: number | undefined;
  /** From the end of the step before, or from its own submission if that came later, to its end; the first compiles too. */
  readonly seconds: number;
  readonly tokensPerSecond: number | undefined;
  /** Bytes on the model's device at the end of the step, and the most that it has held. */
  readonly memory: { readonly live: number; readonly peak: number };
}

/**
 * Trains a model, a step per batch, and reports each step. Nothing runs until the reports are read, and no more than
 * `stepsAhead` beyond them. Weights change in place and stay the caller's; what training allocates (the optimizer's state,
 * plans) is freed when the iteration ends, in whatever way: at the last step, by `break`, by an error, by the signal.
 *
 * ```ts
 * for await (const { step, loss } of train({ model, loss, data, optimizer, steps: 100 })) console.log(step, loss);
 * ```
 * @throws TrainingError `ERR_PARAMETER`, ArgumentError, at the call; while iterating TrainingError `ERR_EMPTY_DATA`,
 *   `ERR_DATA_ENDED`, `ERR_NON_FINITE` and `ERR_OPTIMIZER` (with the step), ShapeError for a loss that is no scalar, OutOfMemoryError
 */
export function train<B extends BatchFor<B>, Output>(
  options: TrainOptions<B, Output>,
): AsyncGenerator<StepReport, void> {
  const { steps = Number.POSITIVE_INFINITY, stepsAhead = 1, nonFinite = 'throw', accumulate = 1 } = options;
  if (!(Number.isSafeInteger(accumulate) && accumulate > 0))
    throw new ArgumentError(`train: accumulate must be a whole number from 1, got ${accumulate}`);
  if (options.steps !== undefined && !(Number.isSafeInteger(steps) && steps > 0))
    throw new ArgumentError(`train: steps must be a whole number from 1, got ${steps}`);
  if (stepsAhead !== 0 && stepsAhead !== 1)
    throw new ArgumentError(`train: stepsAhead must be 0 or 1, got ${stepsAhead}`);
  if (nonFinite !== 'throw' && nonFinite !== 'skip')
    throw new ArgumentError(`train: nonFinite must be 'throw' or 'skip', got ${String(nonFinite)}`);
  if (!isIterable(options.data))
    throw new ArgumentError(`train: data must be an iterable of batches, got ${typeof options.data}`);
  trainedParameters(options.model.parameters);
  return run(options, steps, stepsAhead);
}

async function* run<B extends BatchFor<B>, Output>(
  options: TrainOptions<B, Output>,
  steps: number,
  stepsAhead: number,
): AsyncGenerator<StepReport, void> {
  const { signal, nonFinite = 'throw', accumulate = 1 } = options;
  const { device } = trainedParameters(options.model.parameters)[0]!.value;
  signal?.throwIfAborted();
  const trainStep = createTrainStep(options);
  const batches = openOrDispose(options.data, trainStep);
  const inFlight: { readonly report: Promise<StepReport>; readonly batches: readonly B[] }[] = [];
  let lastEnd = 0;
  let ended = false;

  const submit = async (given: readonly B[]): Promise<void> => {
    const start = performance.now();
    const { result } = await trainStep.submit(given.length === 1 ? given[0]! : given);
    const tokens = tokensOf(given, options.tokens);
    const report = result.then((found): StepReport => {
      const end = performance.now();
      const seconds = (end - Math.max(start, lastEnd)) / 1000;
      lastEnd = end;
      const { live, peak } = device.memory();
      const tokensPerSecond = tokens === undefined ? undefined : tokens / seconds;
      return { ...found, tokens, seconds, tokensPerSecond, memory: { live, peak } };
    });
    report.catch(() => {}); // looked at when its turn comes
    inFlight.push({ report, batches: given });
  };
  const nextReport = async (): Promise<StepReport> => {
    const next = inFlight.shift()!;
    const report = await next.report;
    if (!report.applied && nonFinite === 'throw') throw notAppliedError(report, next.batches);
    return report;
  };

  try {
    let taken = 0;
    for (; taken < steps; taken++) {
      const next = await grouped(batches, accumulate, signal);
      ended = next.ended;
      if (next.batches.length === 0) break;
      await submit(next.batches);
      if (inFlight.length > stepsAhead) yield await nextReport();
    }
    while (inFlight.length > 0) yield await nextReport();
    if (taken === 0) throw new TrainingError('ERR_EMPTY_DATA', 'train: the data has no batches');
    if (taken < steps && steps !== Number.POSITIVE_INFINITY)
      throw new TrainingError(
        'ERR_DATA_ENDED',
        `train: the data ended after ${taken} of ${steps} steps; repeat(batches) goes over it again`,
        taken,
      );
  } finally {
    await Promise.allSettled(inFlight.map(({ report }) => report));
    trainStep.dispose();
    if (!ended) await closed(batches, signal);
  }
}

/** The iterator of `data`; where it does not open, `step` is freed. */
function openOrDispose<B>(data: Iterable<B> | AsyncIterable<B>, step: { dispose(): void }) {
  try {
    return iteratorOf(data);
  } catch (error) {
    step.dispose();
    throw error;
  }
}

function tokensOf<B extends BatchFor<B>>(
  batches: readonly B[],
  count: ((batch: B) => number) | undefined,
): number | undefined {
  let sum = 0;
  for (const batch of batches) {
    const { tokens } = batch as Batch;
    if (!count && tokens === undefined) return undefined;
    sum += count ? count(batch) : valueCount(tokens!);
  }
  return sum;
}

function notAppliedError(
  { step, loss, gradientNorm, count }: StepReport,
  batches: readonly BatchFor<Batch>[],
): TrainingError {
  const masked = batches.map(maskedEntirely);
  if (count === 0 || masked.every((names) => names.length > 0)) {
    const names = masked[0]?.length
      ? `every value of its '${masked[0].join("' and '")}' is masked`
      : 'its loss counts nothing';
    return new TrainingError(
      'ERR_NOTHING_TO_LEARN',
      `train: step ${step} has nothing to learn from: ${names}. Leave such batches out, or go on with nonFinite: 'skip'`,
      step,
    );
  }
  const what = Number.isFinite(loss)
    ? `the gradient norm of step ${step} is ${gradientNorm}`
    : `the loss of step ${step} is ${loss}`;
  return new TrainingError(
    'ERR_NON_FINITE',
    `train: ${what}; that step changed nothing. Lower the learning rate, look at its batch, or go on with nonFinite: 'skip'`,
    step,
  );
}
