import { calledAs } from '@heddle/tensor';
import { TrainingError } from '../errors.ts';
import type { BatchFor } from '../model/batch.ts';
import { trainedParameters } from '../model/parameters.ts';
import { createEvaluation, type EvaluationResult } from '../step/evaluation.ts';
import { checkStepOptions, stepOptionsOf } from '../step/options.ts';
import { createTrainStep, type StepResult, type TrainStep } from '../step/train-step.ts';
import { closed, grouped, iteratorOf } from './batches.ts';
import { notAppliedError } from './not-applied.ts';
import { checkTrainOptions, type TrainOptions, trainKinds } from './options.ts';
import { Patience } from './patience.ts';
import { type PhaseSeconds, reportOf, type StepReport, tokensOf } from './step-report.ts';

/**
 * Trains a model, a step per batch, and reports each step. Nothing runs until the reports are read, and no more than
 * `stepsAhead` beyond them. Weights change in place and stay the caller's; what training allocates (the optimizer's state,
 * plans) is freed when the iteration ends, in whatever way: at the last step, by `break`, by an error, by the signal.
 *
 * ```ts
 * for await (const { step, loss } of train({ model, loss, data, optimizer, steps: 100 })) console.log(step, loss);
 * ```
 * @throws TrainingError `ERR_PARAMETER`, ArgumentError, at the call; while iterating TrainingError `ERR_EMPTY_DATA`,
 *   `ERR_DATA_ENDED`, `ERR_NON_FINITE`, `ERR_NOTHING_TO_LEARN` and `ERR_OPTIMIZER` (with the step), `ERR_CHECKPOINT`, ShapeError
 *   for a loss that is no scalar, OutOfMemoryError
 */
export function train<B extends BatchFor<B>, Output>(
  options: TrainOptions<B, Output>,
): AsyncGenerator<StepReport, void> {
  checkStepOptions('train', options as never, trainKinds);
  checkTrainOptions(options as never);
  trainedParameters(options.model.parameters);
  return run(options);
}

/** A step that is under way. */
interface Flight<B> {
  readonly report: Promise<StepReport>;
  readonly batches: readonly B[];
}

async function* run<B extends BatchFor<B>, Output>(options: TrainOptions<B, Output>): AsyncGenerator<StepReport, void> {
  const { signal, nonFinite = 'throw', accumulate = 1, stepsAhead = 1, evaluate, save } = options;
  const { steps = Number.POSITIVE_INFINITY } = options;
  const { device } = trainedParameters(options.model.parameters)[0]!.value;
  signal?.throwIfAborted();
  const trainStep = calledAs('train', () => createTrainStep(stepOptionsOf(options)));
  const evaluation = evaluate && createEvaluation({ model: options.model, loss: options.loss });
  const dispose = () => {
    evaluation?.dispose();
    trainStep.dispose();
  };
  const batches = openOrDispose(options.data, dispose);
  const patience = options.earlyStopping && new Patience(options.earlyStopping);
  const inFlight: Flight<B>[] = [];
  let lastEnd = 0;
  let ended = false;

  /** Hands a step over; its report comes with its result. */
  const submit = async (
    given: readonly B[],
    dataSeconds: number,
    phases: PhaseSeconds,
  ): Promise<{ readonly result: Promise<StepResult> }> => {
    const start = performance.now();
    const { result } = await trainStep.submit(given.length === 1 ? given[0]! : (given as never));
    const submitted = performance.now();
    phases.data = dataSeconds;
    phases.submit = (submitted - start) / 1000;
    const measured = result.finally(() => {
      const end = performance.now();
      phases.device = (end - Math.max(submitted, lastEnd)) / 1000;
      phases.step = (end - Math.max(start, lastEnd)) / 1000;
      lastEnd = end;
    });
    measured.catch(() => {}); // looked at when its turn comes
    return { result: measured };
  };
  /** What is due after a step, with the weights that it made. */
  const finish = async (result: Promise<StepResult>, last: boolean, phases: PhaseSeconds): Promise<Finished> => {
    const done = trainStep.steps;
    const due = (every: number | undefined) => every !== undefined && (last || done % every === 0);
    if (!due(evaluate?.every) && !due(save?.every)) return {};
    const { applied } = await result;
    if (!applied && nonFinite === 'throw') return {};
    const start = performance.now();
    const found = due(evaluate?.every) ? await evaluated(trainStep, evaluation!, evaluate!) : undefined;
    const middle = performance.now();
    phases.evaluation = (middle - start) / 1000;
    if (due(save?.every)) await saveRun(trainStep, save!, found?.loss);
    phases.saving = (performance.now() - middle) / 1000;
    lastEnd = performance.now();
    return { ...(found && { evaluation: found }), ...(found && patience?.isOver(found.loss) && { stopped: true }) };
  };
  const nextReport = async (): Promise<StepReport> => {
    const next = inFlight.shift()!;
    const report = await next.report;
    if (!report.applied && nonFinite === 'throw') throw notAppliedError(report, next.batches as never);
    return report;
  };

  try {
    if (save?.resumeFrom) await save.to.restore(save.resumeFrom, trainStep as never);
    const first = trainStep.steps;
    let upcoming = await timed(() => grouped(batches, accumulate, signal));
    while (trainStep.steps < steps && upcoming.value.batches.length > 0) {
      const { value, seconds } = upcoming;
      ended = value.ended;
      const phases: PhaseSeconds = { data: 0, submit: 0, device: 0, evaluation: 0, saving: 0, step: 0 };
      const { result } = await submit(value.batches, seconds, phases);
      const last = trainStep.steps >= steps || ended;
      const finished = await finish(result, last, phases);
      const tokens = tokensOf(value.batches as never, options.tokens as never);
      const report = result.then((found) =>
        reportOf(found, {
          phases,
          tokens,
          flops: options.flops,
          memory: device.memory(),
          hostBytes: trainStep.hostBytes,
          ...finished,
        }),
      );
      report.catch(() => {}); // looked at when its turn comes
      inFlight.push({ report, batches: value.batches });
      if (inFlight.length > stepsAhead) yield await nextReport();
      if (finished.stopped || last) break;
      upcoming = await timed(() => grouped(batches, accumulate, signal));
      ended = upcoming.value.ended;
    }
    while (inFlight.length > 0) yield await nextReport();
    const taken = trainStep.steps;
    if (taken === first && taken < steps) throw new TrainingError('ERR_EMPTY_DATA', 'train: the data has no batches');
    if (taken < steps && steps !== Number.POSITIVE_INFINITY && !patience?.over)
      throw new TrainingError(
        'ERR_DATA_ENDED',
        `train: the data ended after ${taken} of ${steps} steps; repeat(batches) goes over it again`,
        taken,
      );
  } finally {
    await Promise.allSettled(inFlight.map(({ report }) => report));
    dispose();
    if (!ended) await closed(batches, signal);
  }
}

interface Finished {
  readonly evaluation?: EvaluationResult;
  readonly stopped?: boolean;
}

async function evaluated(
  step: Pick<TrainStep<never>, 'swapAverages'>,
  evaluation: (batches: never) => Promise<EvaluationResult>,
  {
    data,
    averages = false,
  }: NonNullable<TrainOptions<never, never>['evaluate']> | { data: () => unknown; averages?: boolean },
): Promise<EvaluationResult> {
  if (averages) await step.swapAverages();
  try {
    return await evaluation(data() as never);
  } finally {
    if (averages) await step.swapAverages();
  }
}

async function saveRun(
  step: unknown,
  { to, data, extra }: NonNullable<TrainOptions<never, never>['save']>,
  metric: number | undefined,
): Promise<void> {
  await to.save(step as never, {
    ...(metric !== undefined && { metric }),
    ...(data && { data: data() }),
    ...(extra && { extra: extra() }),
  });
}

async function timed<T>(task: () => Promise<T>): Promise<{ readonly value: T; readonly seconds: number }> {
  const start = performance.now();
  const value = await task();
  return { value, seconds: (performance.now() - start) / 1000 };
}

/** The iterator of `data`; where it does not open, what was made is freed. */
function openOrDispose<B>(data: Iterable<B> | AsyncIterable<B>, dispose: () => void): Iterator<B> | AsyncIterator<B> {
  try {
    return iteratorOf(data);
  } catch (error) {
    dispose();
    throw error;
  }
}
