import {
  ArgumentError,
  type CompiledFunction,
  checkArguments,
  checkOptions,
  compile,
  concat,
  DisposedError,
  type Tensor,
} from '@heddle/tensor';
import { TrainingError } from '../errors.ts';
import { isIterable, iteratorOf } from '../loop/batches.ts';
import { type Batch, type BatchFor, specOf, type TracedBatch } from '../model/batch.ts';
import { forwardContext } from '../model/checkpointing.ts';
import { meanLoss, outputOf, type SummedLoss, type TrainableModel } from '../model/model.ts';
import { trainedParameters } from '../model/parameters.ts';

/** What an evaluation found. */
export interface EvaluationResult {
  /** The mean over everything that counts, in all batches. */
  readonly loss: number;
  /** Of summed losses: what they were summed over. Otherwise the number of batches. */
  readonly count: number;
  readonly batches: number;
}

/** Options of `createEvaluation`. */
export interface EvaluationOptions<M, Output, L = M> {
  readonly model: TrainableModel<M, Output>;
  readonly loss: (output: Output, batch: NoInfer<M> & L) => Tensor | SummedLoss;
}

/** The loss of a model over batches, as replayed plans that change nothing. */
export interface Evaluation<I> extends Disposable {
  /** @throws TrainingError `ERR_EMPTY_DATA` for no batches, `ERR_NOTHING_TO_LEARN` where none of them counts anything */
  (batches: Iterable<BatchFor<I>> | AsyncIterable<BatchFor<I>>): Promise<EvaluationResult>;
  /** Frees the plans. Idempotent. */
  dispose(): void;
}

type Traced = Readonly<Record<string, Tensor>>;

/** Evaluates a model. Owned by the caller; the model stays. @throws TrainingError `ERR_PARAMETER` */
export function createEvaluation<M extends TracedBatch<M>, Output, L extends TracedBatch<L> = M>(
  options: EvaluationOptions<M, Output, L>,
): Evaluation<M & L> {
  checkOptions('createEvaluation', options, { model: 'object', loss: 'function' });
  checkArguments('createEvaluation', 'function', { 'model.forward': options.model.forward });
  const { model, loss } = options as unknown as {
    readonly model: TrainableModel<Traced, unknown>;
    readonly loss: (output: unknown, batch: Traced) => Tensor | SummedLoss;
  };
  const { device } = trainedParameters(model.parameters)[0]!.value;
  const plans = new Map<string, CompiledFunction<[Traced], Tensor>>();
  let disposed = false;
  const record = (batch: Traced) => {
    const { mean, count } = meanLoss(
      loss(outputOf(model, batch, forwardContext('none', { blocks: 0, segments: [] })), batch),
    );
    return concat([mean.reshape([1]), count.reshape([1])], 0);
  };
  const planFor = (batch: Batch) => {
    const { key, inputs } = specOf(batch);
    let plan = plans.get(key);
    plan ??= compile(record, { device, inputs: [inputs] as never, name: 'evaluation' });
    plans.set(key, plan);
    return plan;
  };
  const evaluate = async (data: Iterable<Batch> | AsyncIterable<Batch>): Promise<EvaluationResult> => {
    if (disposed) throw new DisposedError('evaluation: it was disposed of');
    if (!isIterable(data))
      throw new ArgumentError(`evaluation: takes a list or another iterable of batches, got ${typeof data}`);
    let [total, count, batches] = [0, 0, 0];
    const iterator = iteratorOf(data);
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
      const [mean, weight] = (await (await planFor(next.value)(next.value)).data()) as Float32Array;
      if (weight! > 0) total += mean! * weight!;
      count += weight!;
      batches++;
    }
    if (batches === 0) throw new TrainingError('ERR_EMPTY_DATA', 'evaluation: the data has no batches');
    if (count === 0) throw new TrainingError('ERR_NOTHING_TO_LEARN', 'evaluation: nothing in the data counts');
    return { loss: total / count, count, batches };
  };
  const dispose = () => {
    disposed = true;
    for (const plan of plans.values()) plan.dispose();
    plans.clear();
  };
  return Object.assign(evaluate, { dispose, [Symbol.dispose]: dispose }) as unknown as Evaluation<M & L>;
}
