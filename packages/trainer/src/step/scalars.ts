import { TrainingError } from '../errors.ts';
import type { Optimizer } from '../optimizers/optimizer.ts';
import { scalarRows } from './record-step.ts';
import type { StepResult } from './train-step.ts';

/**
 * The numbers that an optimizer's steps take, for steps whose place in the schedule only the device knows: while results are
 * under way, any of them may turn out to have been skipped. The host gives the numbers of every place that is possible, and the
 * device takes those of the steps that it has applied.
 */
export class StepScalars {
  readonly #optimizer: Optimizer;
  readonly #underWay: Promise<unknown>[] = [];
  #applied = 0;

  constructor(optimizer: Optimizer) {
    this.#optimizer = optimizer;
  }

  /** Rows of numbers for the step with this number; waits where too many results are under way. @throws TrainingError `ERR_OPTIMIZER` */
  async forStep(step: number): Promise<Float32Array> {
    while (this.#underWay.length >= scalarRows) await this.#underWay[0];
    const columns = Math.max(1, this.#optimizer.scalars(0).length);
    const rows = new Float32Array(scalarRows * columns);
    for (let place = this.#applied; place <= this.#applied + Math.min(this.#underWay.length, scalarRows - 1); place++) {
      const numbers = this.#optimizer.scalars(place);
      const wrong = numbers.find((number) => !Number.isFinite(number));
      if (wrong !== undefined)
        throw new TrainingError(
          'ERR_OPTIMIZER',
          `train: the optimizer's numbers for step ${place} must be finite, got ${wrong}: look at its learning rate`,
          step,
        );
      rows.set(numbers, (place % scalarRows) * columns);
    }
    return rows;
  }

  /** The numbers of a step for which so many were applied before, from the rows of `forStep`. */
  row(rows: Float32Array, applied: number): Float32Array {
    const columns = rows.length / scalarRows;
    const at = (applied % scalarRows) * columns;
    return rows.slice(at, at + columns);
  }

  submitted(result: Promise<StepResult>): void {
    const done = result.then(
      ({ applied }) => this.#finish(applied),
      () => this.#finish(false),
    );
    this.#underWay.push(done);
  }

  /** Steps that were applied, once no result is under way. */
  async applied(): Promise<number> {
    await Promise.all(this.#underWay);
    return this.#applied;
  }

  restart(applied: number): void {
    this.#applied = applied;
  }

  #finish(applied: boolean): void {
    this.#underWay.shift();
    if (applied) this.#applied++;
  }
}
