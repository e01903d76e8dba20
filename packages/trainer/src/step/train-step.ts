import { ArgumentError, calledAs, checkOptions, DisposedError, type KernelTime, type Tensor } from '@heddle/tensor';
import { type Batch, type BatchFor, specOf, type TracedBatch } from '../model/batch.ts';
import { checkCheckpointing } from '../model/checkpointing.ts';
import { type TrainedParameter, trainedParameters } from '../model/parameters.ts';
import { precisionPlan } from '../precision/precision.ts';
import { OffloadedUpdate } from './offload.ts';
import {
  checkActivations,
  checkAverage,
  checkOffload,
  checkStepOptions,
  checkUpdateInBackward,
  type TrainStepOptions,
} from './options.ts';
import { StepPlans } from './plans.ts';
import type { StepParts } from './record-step.ts';
import { StepScalars } from './scalars.ts';
import { allocateState, fillState, type TrainState } from './state.ts';
import { exchange, writeVariable } from './variables.ts';

/** What a step found out. */
export interface StepResult {
  /** Counted from 0: those that changed nothing too. */
  readonly step: number;
  /** With the weights from before the step. */
  readonly loss: number;
  /** Over all parameters, before any clipping. */
  readonly gradientNorm: number;
  /** Of the schedule at the number of steps that were applied before. */
  readonly learningRate: number;
  /**
   * False where loss or gradient norm are NaN or infinite, or nothing counts: such a step leaves weights, moments, averages and
   * the schedule as they were.
   */
  readonly applied: boolean;
  /** Of a summed loss: what it was summed over. Otherwise the number of batches. */
  readonly count: number;
  /** What the loss was multiplied by for its gradients; 1 in f32. */
  readonly lossScale: number;
}

/** A step that the device has taken on; its result comes later. */
export interface SubmittedStep {
  readonly step: number;
  readonly result: Promise<StepResult>;
}

/** Where a run stands. */
export interface Progress {
  /** Steps that were taken. */
  readonly steps: number;
  /** Those of them that were applied. */
  readonly applied: number;
}

/** One batch, or several of which a step takes the mean, one after the other. */
export type StepBatches<I> = BatchFor<I> | readonly BatchFor<I>[];

/** `I` is what model and loss read of a batch, as tensors. */
export interface TrainStep<I> extends Disposable {
  /** One step: new weights and the next state. Steps take effect in the order of the calls. */
  (batch: StepBatches<I>): Promise<StepResult>;
  /** The same without the wait for its result: resolves when the device has the work. Keeps a GPU busy. */
  submit(batch: StepBatches<I>): Promise<SubmittedStep>;
  /** Steps that were submitted. */
  readonly steps: number;
  /** Plans that were made, one per shape of a batch (and one more where a step has several; `offload.activations` takes more). */
  readonly plans: number;
  /** Bytes of activations that a step has in host memory between forward and backward pass: 0 without `offload.activations`. */
  readonly hostBytes: number;
  /** What is trained. */
  readonly parameters: readonly TrainedParameter[];
  /** The state beside the model by name: moments, masters, scale, averages. */
  readonly state: TrainState['variables'];
  /** Where the run stands, once all submitted steps are done. */
  progress(): Promise<Progress>;
  /** Goes on from there: for those who have written `state` and the parameters. */
  resume(progress: Progress): Promise<void>;
  /**
   * Exchanges the weights and their moving averages: evaluate or save in between, then exchange them again.
   * @throws ArgumentError where no averages are kept, or parameters are f16
   */
  swapAverages(): Promise<void>;
  /** What is computed again, the kernels and the memory of each plan, for people. */
  explain(): string;
  /** Bytes of activations and gradients of the last plan; undefined before the first step, and where a runtime does not say. */
  plannedBytes(): { readonly peak: number; readonly sum: number } | undefined;
  /**
   * Bytes of activations and gradients that a step of this batch will take, before anything is allocated for it.
   * @throws DeviceError where the device does not say (ONNX Runtime, reference)
   */
  plan(batch: BatchFor<I>): Promise<number>;
  /**
   * Takes steps with this batch, in which every kernel is timed by itself, in microseconds: for measuring, since the weights
   * move and no step is counted.
   * @throws DeviceError where the device cannot time its kernels
   */
  profile(batch: BatchFor<I>): Promise<readonly KernelTime[]>;
  /** Frees plans and state; the model stays. Idempotent. Await the results of submitted steps first. */
  dispose(): void;
}

/**
 * A training step as replayed plans, one per shape of a batch: forward pass, gradients, optimizer and the update of the
 * weights in place. The model's variables belong to the caller; the optimizer's state (owner 'optimizer' in
 * `device.memory()`) and the plans belong to the step: dispose of it.
 * @throws TrainingError `ERR_PARAMETER` for parameters that cannot be trained; ArgumentError; OutOfMemoryError where the state
 *   does not fit
 */
export function createTrainStep<M extends TracedBatch<M>, Output, L extends TracedBatch<L> = M>(
  options: TrainStepOptions<M, Output, L>,
): TrainStep<M & L> {
  checkStepOptions('createTrainStep', options as never);
  return calledAs('createTrainStep', () => trainStepOf(options));
}

function trainStepOf<M extends TracedBatch<M>, Output, L extends TracedBatch<L> = M>(
  options: TrainStepOptions<M, Output, L>,
): TrainStep<M & L> {
  const { optimizer, checkpointing = 'none' } = options;
  const { precision: named = options.model.precision ?? 'f32' } = options;
  const precision = precisionPlan(named);
  const averageDecay = checkAverage(options.average);
  checkCheckpointing(checkpointing);
  const parameters = trainedParameters(options.model.parameters);
  const { device } = parameters[0]!.value;
  const host = checkOffload(options, device);
  const segment = checkActivations(options);
  const inBackward = checkUpdateInBackward({ ...options, precision: named });
  const averages = averageDecay !== undefined;
  const state = allocateState(device, parameters, { host, optimizer, precision, averages });
  const { model, loss } = options as unknown as Pick<StepParts, 'model' | 'loss'>;
  const offloaded = host !== undefined;
  const metrics = inBackward ? device.zeroVariable([6], { name: 'metrics', owner: 'training' }) : undefined;
  const parts: StepParts = {
    model,
    loss,
    optimizer,
    precision,
    averageDecay,
    offloaded,
    inBackward,
    metrics,
    parameters,
    state,
  };
  const plans = new StepPlans(device, parts, checkpointing, segment);
  const update = host && new OffloadedUpdate(host, parts);
  const scalars = new StepScalars(optimizer);
  let filled: Promise<void> | undefined;
  let steps = 0;
  let disposed = false;
  let tail: Promise<unknown> = Promise.resolve();

  /** Calls take their turn: the read of a step's metrics comes before the next run overwrites them. */
  const inTurn = <T>(task: () => Promise<T>): Promise<T> => {
    const done = tail.then(() => {
      if (disposed) throw new DisposedError('train step: it was disposed of');
      return task();
    });
    tail = done.catch(() => {});
    return done;
  };
  const fill = () => {
    filled ??= fillState(device, parameters, state);
    return filled;
  };

  const submitNow = async (given: Batch | readonly Batch[]): Promise<SubmittedStep> => {
    const batches = batchesOf(given);
    const specs = batches.map(specOf);
    const numbers = await scalars.forStep(steps);
    await fill();
    const last = batches.length - 1;
    for (let i = 0; i < last; i++) {
      await plans.run(specs[i]!, batches[i]!, 'part', Float32Array.of(i === 0 ? 1 : 0));
    }
    const kind = last > 0 ? 'last' : 'whole';
    const { metrics: own, gradients } = await plans.run(specs[last]!, batches[last]!, kind, numbers);
    const step = steps++;
    const result = ((own ?? metrics) as Tensor).data().then(async (values) => {
      const [foundLoss, gradientNorm, applied, appliedBefore, count, lossScale] = values as Float32Array;
      if (update && applied === 1) {
        const scale = last > 0 ? 1 : lossScale!; // sums over several batches are without
        await update.apply(gradients as readonly Tensor[], scalars.row(numbers, appliedBefore!), scale);
      }
      return {
        step,
        loss: foundLoss!,
        gradientNorm: gradientNorm!,
        learningRate: optimizer.learningRate(appliedBefore!),
        applied: applied === 1,
        count: count!,
        lossScale: lossScale!,
      };
    });
    scalars.submitted(result);
    if (update) await result; // the next step reads the weights that this one makes
    return { step, result };
  };
  const submit = (batch: Batch | readonly Batch[]): Promise<SubmittedStep> => inTurn(() => submitNow(batch));

  const profile = (batch: Batch): Promise<readonly KernelTime[]> =>
    inTurn(async () => {
      const numbers = await scalars.forStep(steps);
      await fill();
      const times = await plans.profile(specOf(batch), batch, numbers);
      await writeVariable(state.applied, Int32Array.of(await scalars.applied()));
      return times;
    });
  const resume = async (progress: Progress): Promise<void> => {
    checkOptions('train step: resume', progress, { steps: 'whole', applied: 'whole' });
    return resumeFrom(progress);
  };
  const resumeFrom = ({ steps: taken, applied }: Progress): Promise<void> =>
    inTurn(async () => {
      if (![taken, applied].every((count) => Number.isSafeInteger(count) && count >= 0) || applied > taken)
        throw new ArgumentError(`train step: cannot go on from ${applied} applied of ${taken} steps`);
      filled = Promise.resolve(); // what is written is all there is
      await writeVariable(state.applied, Int32Array.of(applied));
      scalars.restart(applied);
      steps = taken;
    });
  const swapAverages = (): Promise<void> =>
    inTurn(async () => {
      if (averageDecay === undefined) throw new ArgumentError('train step: no averages are kept; name `average`');
      await fill();
      await exchange(
        parameters.map(({ value }) => value),
        state.averages,
      );
    });
  const dispose = () => {
    disposed = true;
    plans.dispose();
    update?.dispose();
    metrics?.dispose();
    for (const variable of state.variables.values()) variable.dispose();
  };

  const trainStep = async (batch: Batch | readonly Batch[]) => (await submit(batch)).result;
  const members = {
    submit,
    parameters,
    state: state.variables,
    progress: () =>
      inTurn(async () => {
        await fill();
        return { steps, applied: await scalars.applied() };
      }),
    resume,
    swapAverages,
    explain: () => [plans.explain(), ...(update ? [update.explain()] : [])].join('\n\n'),
    plannedBytes: () => plans.plannedBytes(),
    plan: (batch: Batch) => inTurn(() => plans.plan(specOf(batch))),
    profile,
    dispose,
    [Symbol.dispose]: dispose,
  };
  return Object.defineProperties(Object.assign(trainStep, members), {
    steps: { get: () => steps },
    plans: { get: () => plans.size },
    hostBytes: { get: () => plans.hostBytes },
  }) as unknown as TrainStep<M & L>;
}

function batchesOf(given: Batch | readonly Batch[]): readonly Batch[] {
  if (!Array.isArray(given)) return [given as Batch];
  if (given.length === 0) throw new ArgumentError('train step: takes a batch or a list of batches, got an empty list');
  return given as readonly Batch[];
}
