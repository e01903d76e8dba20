import { ArgumentError } from '../checks/errors.ts';
import type { HostArray } from '../dtype.ts';
import { Tensor } from '../graph/tensor.ts';
import { Variable } from '../graph/variable.ts';

/** @throws ArgumentError where argument `index` is donated and cannot be given away with a run, or is given twice */
export function assertGivenAway(
  path: string,
  index: number,
  inputs: readonly (HostArray | Tensor)[],
  constants: readonly Tensor[],
): void {
  const input = inputs[index]!;
  if (!(input instanceof Tensor)) return;
  const refuse = (what: string) => {
    throw new ArgumentError(`${path} is donated, and must be a tensor that nothing else of the run reads, got ${what}`);
  };
  if (input instanceof Variable) refuse(`the variable ${input.name}`);
  if (constants.includes(input)) refuse('one that the function uses from outside');
  if (inputs.some((other, i) => i !== index && other instanceof Tensor && other.storage === input.storage))
    refuse('one that is another argument too');
}
