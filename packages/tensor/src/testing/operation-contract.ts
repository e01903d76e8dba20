import { checkArguments } from '../checks/check-arguments.ts';
import { checkOptions } from '../checks/check-options.ts';
import type { DType } from '../dtype.ts';
import { bf16BitsToNumber, numberToBf16Bits, roundToF16 } from '../float16.ts';
import type { Device } from '../graph/device.ts';
import type { Tensor } from '../graph/tensor.ts';
import { openReference } from '../reference.ts';
import { formatShape } from '../shape.ts';
import { allClose, type Tolerance } from './all-close.ts';
import { ContractError } from './contract-error.ts';
import { gradCheck } from './grad-check.ts';

/** Values of one operand, row-major, before they are brought to their dtype; bool as 0 and 1. */
export interface OperandValues {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly values: readonly number[];
}

/** One application of an operation (or a few) to operands. */
export interface AppliedCase {
  readonly name: string;
  readonly inputs: readonly OperandValues[];
  /** Records the operation on the device of its operands; takes no tensors from outside. */
  readonly f: (...inputs: Tensor[]) => Tensor;
  /** Whether gradients with respect to the f32 operands are checked; by default if there are any and the result is f32 too. */
  readonly gradient?: boolean;
  /** Relative to the values' magnitude; by default 1e-5 for f32, one in the last place for f16 and bf16 (2^-10, 2^-7), and 0 for the others. */
  readonly tolerance?: number;
  /** What is right, worked out without this project: the values, or a rule over the operands' values in float64. */
  readonly expected?: ExpectedValues;
}

/** The right values of a result, row-major. */
export type ExpectedValues = readonly number[] | ((...inputs: readonly (readonly number[])[]) => readonly number[]);

/** A case without operands: what is recorded on a device itself. */
export interface CreationCase {
  readonly name: string;
  readonly create: (device: Device) => Tensor;
  readonly expected?: ExpectedValues;
}

export type OperationCase = AppliedCase | CreationCase;

/** One test of the contract. */
export interface OperationContractCase {
  readonly name: string;
  run(): Promise<void>;
}

/**
 * What holds for an operation on every executor, as a test for each case: shape, dtype and values are those of the reference
 * executor, which computes in float64, and gradients those of central differences.
 *
 * Framework-free: run each case in a test of its own.
 * ```ts
 * const cases = [{ name: 'softsign', inputs: [{ shape: [3], dtype: 'f32', values: [-1, 0, 2] }], f: softsign }];
 * for (const { name, run } of operationContract(cases, () => device)) test(name, run);
 * ```
 * @param device the device that is tested; it is not disposed of. On the reference executor itself values are compared with
 *   themselves: there `expected` is what tells, and differences for gradients
 * @throws ArgumentError for cases that are no list; what fails throws in its case's `run`
 */
export function operationContract(
  cases: readonly OperationCase[],
  device: () => Device,
): readonly OperationContractCase[] {
  checkArguments('operationContract', 'list', { cases });
  checkArguments('operationContract', 'function', { device });
  for (const [i, row] of cases.entries()) checkCase(`operationContract: cases[${i}]`, row);
  return cases.map((row) => ({ name: row.name, run: () => check(row, device()) }));
}

function checkCase(where: string, row: OperationCase): void {
  checkArguments(where, 'object', { case: row });
  if ('create' in row) checkOptions(where, row, { name: 'text', create: 'function', expected: 'anything' });
  else
    checkOptions(where, row, {
      name: 'text',
      inputs: 'list',
      f: 'function',
      gradient: 'boolean?',
      tolerance: 'number?',
      expected: 'anything',
    });
}

/** @throws ContractError naming the case, and what differs */
async function check(row: OperationCase, device: Device): Promise<void> {
  const reference = await openReference();
  const made: Tensor[] = [];
  const place = (on: Device, { shape, dtype, values }: OperandValues) => {
    const tensor = on.tensor(Float64Array.from(values), { shape, dtype });
    made.push(tensor);
    return tensor;
  };
  const apply = (on: Device) =>
    'create' in row ? row.create(on) : row.f(...row.inputs.map((input) => place(on, input)));
  const fail = (what: string): never => {
    throw new ContractError(`${row.name}: ${what}`);
  };
  try {
    const [actual, expected] = [apply(device), apply(reference)];
    made.push(actual, expected);
    const typeOf = ({ dtype, shape }: Tensor) => `${dtype} ${formatShape(shape)}`;
    if (typeOf(actual) !== typeOf(expected)) fail(`expected ${typeOf(expected)}, got ${typeOf(actual)}`);
    const tolerance = 'tolerance' in row && row.tolerance !== undefined ? { relative: row.tolerance } : {};
    const ofReference = await allClose(actual, expected, tolerance);
    if (!ofReference.pass) fail(ofReference.message);
    if (row.expected) {
      const right = await allClose(
        actual,
        Float64Array.from(rightValues(row)),
        device.name === 'reference' ? oracleTolerance(actual.dtype) : tolerance,
      );
      if (!right.pass) fail(`not what is right: ${right.message}`);
    }
    if (!('f' in row)) return;
    const argnums = row.inputs.flatMap(({ dtype }, i) => (dtype === 'f32' ? [i] : []));
    if (!(row.gradient ?? (expected.dtype === 'f32' && argnums.length > 0))) return;
    const inputs = row.inputs.map((input) => place(device, input));
    await gradCheck(row.f, inputs, { argnums }).catch((cause: unknown) => {
      if (cause instanceof ContractError) fail(cause.message);
      throw cause;
    });
  } finally {
    for (const tensor of made) tensor.dispose();
    await reference.dispose();
  }
}

/** How near the reference executor is to what is right: it computes in float64, and rounds what it stores once. */
function oracleTolerance(dtype: DType): Tolerance {
  const relative = { f32: 1e-6, f16: 2 ** -11, bf16: 2 ** -8 }[dtype as string] ?? 0;
  return { relative };
}

/** What a case says is right, of operands as they are held. On the reference executor nothing else is independent of what is tested. */
function rightValues(row: OperationCase): readonly number[] {
  const { expected } = row;
  if (typeof expected !== 'function') return expected ?? [];
  return expected(...('inputs' in row ? row.inputs.map(heldValues) : []));
}

function heldValues({ dtype, values }: OperandValues): readonly number[] {
  if (dtype === 'f32') return values.map(Math.fround);
  if (dtype === 'f16') return values.map(roundToF16);
  return dtype === 'bf16' ? values.map((value) => bf16BitsToNumber(numberToBf16Bits(value))) : values;
}
