import { valueAndGrad } from '../autograd/grad.ts';
import { calledAs } from '../checks/called-as.ts';
import { checkArguments } from '../checks/check-arguments.ts';
import { checkOptions } from '../checks/check-options.ts';
import { isFloat } from '../dtype.ts';
import type { ReferenceStorage } from '../executors/reference/executor.ts';
import type { Device } from '../graph/device.ts';
import type { Tensor } from '../graph/tensor.ts';
import { openReference } from '../reference.ts';
import { sizeOf } from '../shape.ts';
import { allClose, type Tolerance } from './all-close.ts';
import { ContractError } from './contract-error.ts';

/** Tolerance of `gradCheck`, and the step of its differences. */
export interface GradCheckOptions extends Tolerance {
  /** Step of the differences, times the magnitude of the value where that is over 1; by default 1e-5. */
  readonly step?: number;
  /** Which inputs; by default each one of floats. */
  readonly argnums?: readonly number[];
}

/**
 * Compares the gradients of `f` by each float input, on the inputs' device, with central differences that the reference
 * executor computes in float64. `f` records on the device of the tensors that it is given and takes no tensors from outside;
 * where it gives more than one value, their sum with different weights is checked. The relative tolerance is 1e-4 by default.
 * @throws ContractError naming the input, the largest difference and its place
 */
export async function gradCheck(
  f: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  options: GradCheckOptions = {},
): Promise<void> {
  checkArguments('gradCheck', 'function', { f });
  checkArguments('gradCheck', 'tensors', { inputs });
  checkOptions('gradCheck', options, {
    step: 'positive?',
    argnums: 'list?',
    relative: 'finite?',
    absolute: 'finite?',
  });
  const { step = 1e-5, relative = 1e-4, argnums: _, ...tolerance } = options;
  const { argnums = inputs.flatMap(({ dtype }, i) => (isFloat(dtype) ? [i] : [])) } = options;
  if (argnums.length === 0) throw new ContractError('gradCheck: takes at least one input of floats');
  const loss = (...operands: Tensor[]) => {
    const y = f(...operands);
    checkArguments('gradCheck', 'tensor', { 'what f gives': y });
    return weightedSum(y);
  };
  const { value, grads } = calledAs('gradCheck', () => valueAndGrad(loss, { argnums }))(...inputs);
  const device = value.device;
  await device.realize([value, ...grads]);
  const reference = await openReference();
  try {
    const copies = await Promise.all(inputs.map((input) => copyTo(reference, input)));
    for (const [i, argument] of argnums.entries()) {
      const expected = await differences(loss, copies, argument, step);
      const { pass, message } = await allClose(await asNumbers(grads[i]!), expected, { relative, ...tolerance });
      if (!pass) throw new ContractError(`gradCheck: the gradient with respect to argument ${argument}: ${message}`);
    }
  } finally {
    for (const tensor of [value, ...grads]) tensor.dispose();
    await reference.dispose();
  }
}

/** A scalar of all values; no two count the same, so that what belongs elsewhere shows. */
function weightedSum(y: Tensor): Tensor {
  const weights = y.device.arange(sizeOf(y.shape), 'f32').add(1).cos().add(1.5);
  return y.mul(weights.reshape(y.shape)).sum();
}

async function copyTo(reference: Device, input: Tensor): Promise<Tensor> {
  return reference.tensor(await input.data(), { shape: input.shape as readonly number[], dtype: input.dtype });
}

async function asNumbers(tensor: Tensor): Promise<ArrayLike<number>> {
  return (await tensor.cast('f32').data()) as Float32Array;
}

/** The values that the reference executor computes with, which reading would round. */
const float64Of = (tensor: Tensor) => (tensor.storage as ReferenceStorage).data;

async function differences(
  loss: (...operands: Tensor[]) => Tensor,
  operands: readonly Tensor[],
  by: number,
  step: number,
): Promise<Float64Array> {
  const data = float64Of(operands[by]!);
  const at = async (place: number, value: number): Promise<number> => {
    data[place] = value;
    const result = await loss(...operands).realize();
    const number = float64Of(result)[0]!;
    result.dispose();
    return number;
  };
  const out = new Float64Array(data.length);
  for (const [i, value] of [...data].entries()) {
    const reach = step * Math.max(1, Math.abs(value));
    out[i] = ((await at(i, value + reach)) - (await at(i, value - reach))) / (2 * reach);
    data[i] = value;
  }
  return out;
}
