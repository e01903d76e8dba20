import {
  type CompiledFunction,
  compile,
  type Device,
  DisposedError,
  type KernelTime,
  type Tensor,
  type Update,
  type Variable,
} from '@heddle/tensor';
import { type Batch, type BatchFor, type BatchSpec, specOf, type TracedBatch } from './batch.ts';
import { TrainingError } from './errors.ts';
import type { AllocateState, Optimizer } from './optimizer.ts';
import { type TrainedParameter, trainedParameters } from './parameters.ts';
import { recordStep, type Traced, type TrainStepOptions } from './record-step.ts';

/** What a step found out. */
export interface StepResult {
  /** Counted from 0. */
  readonly step: number;
  /** With the weights from before the step. */
  readonly loss: number;
  /** Over all parameters, before any clipping. */
  readonly gradientNorm: number;
  readonly learningRate: number;
  /** False where loss or gradient norm are NaN or infinite: such a step leaves weights and state as they were. */
  readonly applied: boolean;
}

/** A step that the device has taken on; its result comes later. */
export interface SubmittedStep {
  readonly step: number;
  readonly result: Promise<StepResult>;
}

/** `I` is what the loss reads of a batch, as tensors. */
export interface TrainStep<I> extends Disposable {
  /** One step: new weights and the next state from a batch. Steps take effect in the order of the calls. */
  (batch: BatchFor<I>): Promise<StepResult>;
  /** The same without the wait for its result: resolves when the device has the work. Keeps a GPU busy. */
  submit(batch: BatchFor<I>): Promise<SubmittedStep>;
  /** Steps that were submitted. */
  readonly steps: number;
  /** Plans that were made, one per shape of a batch. */
  readonly plans: number;
  /** The kernels and the memory of each plan, for people. */
  explain(): string;
  /** Bytes of activations and gradients of the last plan; undefined before the first step, and where a runtime does not say. */
  plannedBytes(): { readonly peak: number; readonly sum: number } | undefined;
  /**
   * Takes steps with this batch, in which every kernel is timed by itself, in microseconds: for measuring, since the weights
   * move and no step is counted.
   * @throws DeviceError where the device cannot time its kernels
   */
  profile(batch: BatchFor<I>): Promise<readonly KernelTime[]>;
  /** Frees plans and the optimizer's state; the model stays. Idempotent. Await the results of submitted steps first. */
  dispose(): void;
}

type Plan = CompiledFunction<[Traced, Tensor], { metrics: Tensor; updates: Update[] }>;

/**
 * A training step as replayed plans, one per shape of a batch: forward pass, gradients, optimizer and the update of the
 * weights in place. The model's variables belong to the caller; the optimizer's state (owner 'optimizer' in
 * `device.memory()`) and the plans belong to the step: dispose of it.
 * @throws TrainingError `ERR_PARAMETER` for parameters that cannot be trained; OutOfMemoryError where the state does not fit
 */
export function createTrainStep<I extends TracedBatch<I>, Output>(options: TrainStepOptions<I, Output>): TrainStep<I> {
  const { optimizer } = options;
  const parameters = trainedParameters(options.model.parameters);
  const { device } = parameters[0]!.value;
  const { state, variables } = allocateState(device, optimizer, parameters);
  const plans = new Map<string, Plan>();
  let steps = 0;
  let disposed = false;
  let tail: Promise<unknown> = Promise.resolve();

  const planFor = (spec: BatchSpec): Plan => {
    let plan = plans.get(spec.key);
    if (!plan) {
      const record = (batch: Traced, scalars: Tensor) =>
        recordStep(options as unknown as TrainStepOptions<Traced, unknown>, parameters, state, batch, scalars);
      const inputs = [spec.inputs, { shape: [scalarsOf(0).length] }] as const;
      plan = compile(record, { device, inputs: inputs as never, name: 'train step' }) as Plan;
      plans.set(spec.key, plan);
    }
    return plan;
  };
  const scalarsOf = (step: number) => {
    const scalars = optimizer.scalars(step);
    const wrong = scalars.find((scalar) => !Number.isFinite(scalar));
    if (wrong !== undefined)
      throw new TrainingError(
        'ERR_OPTIMIZER',
        `train: the optimizer's numbers for step ${step} must be finite, got ${wrong}: look at its learning rate`,
        step,
      );
    return Float32Array.of(...scalars, 0); // never empty: a plan's input has values
  };

  const planned = (batch: Batch, step: number) => {
    if (disposed) throw new DisposedError('train step: it was disposed of');
    return { plan: planFor(specOf(batch)), scalars: scalarsOf(step) };
  };
  const submitNow = async (batch: Batch): Promise<SubmittedStep> => {
    const step = steps;
    const { plan, scalars } = planned(batch, step);
    const { metrics } = await plan(batch, scalars);
    steps++;
    const learningRate = optimizer.learningRate(step);
    const result = (metrics as Tensor).data().then(([loss, gradientNorm, applied]) => ({
      step,
      loss: loss!,
      gradientNorm: gradientNorm!,
      learningRate,
      applied: applied === 1,
    }));
    result.catch(() => {}); // whoever submitted may look at it later, or never
    return { step, result };
  };
  // the read of a step's metrics comes before the next run overwrites them
  const submit = (batch: Batch): Promise<SubmittedStep> => {
    const submitted = tail.then(() => submitNow(batch));
    tail = submitted.catch(() => {});
    return submitted;
  };
  const profile = (batch: Batch): Promise<readonly KernelTime[]> => {
    const profiled = tail.then(() => {
      const { plan, scalars } = planned(batch, steps);
      return plan.profile([batch, scalars] as never);
    });
    tail = profiled.catch(() => {});
    return profiled;
  };
  const inspection = {
    explain: () => [...plans.values()].map((plan) => plan.explain()).join('\n\n'),
    plannedBytes: () => [...plans.values()].at(-1)?.plannedBytes(),
    profile,
  };
  const dispose = () => {
    disposed = true;
    for (const plan of plans.values()) plan.dispose();
    for (const variable of variables) variable.dispose();
  };

  const trainStep = async (batch: Batch) => (await submit(batch)).result;
  return Object.defineProperties(
    Object.assign(trainStep, { ...inspection, submit, dispose, [Symbol.dispose]: dispose }),
    {
      steps: { get: () => steps },
      plans: { get: () => plans.size },
    },
  ) as unknown as TrainStep<I>;
}

/** The optimizer's state as variables; where one does not fit, none are kept. */
function allocateState(device: Device, optimizer: Optimizer, parameters: readonly TrainedParameter[]) {
  const variables: Variable[] = [];
  const allocate: AllocateState = (name, shape) => {
    const variable = device.zeroVariable(shape as readonly number[], { name, owner: 'optimizer' });
    variables.push(variable);
    return variable;
  };
  try {
    return { state: optimizer.init(parameters, allocate), variables };
  } catch (cause) {
    for (const variable of variables) variable.dispose();
    throw cause;
  }
}
