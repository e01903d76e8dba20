import { type Dim, DTypeError, formatShape, isFloat, ShapeError, shapesEqual, type TensorType } from '@heddle/tensor';

/**
 * How a state S `[Dk, Dv]` takes in a row, after it has decayed: with k and v as an outer product ('additive'), or with what v
 * differs by from what the state has for k ('delta').
 */
export type RecurrenceRule = 'delta' | 'additive';

/** What a recurrence may read, in the order of its inputs. */
const inputNames = ['q', 'k', 'v', 'decay', 'beta', 'state', 'segments', 'pool', 'from', 'at', 'plan'] as const;
export type RecurrenceInput = (typeof inputNames)[number];

export interface RecurrenceAttributes {
  readonly rule: RecurrenceRule;
  /** Names of the inputs. */
  readonly inputs: readonly RecurrenceInput[];
  /** Rows of a chunk where a whole sequence is computed by products. */
  readonly chunk: number;
}

export type Named<T> = Readonly<Partial<Record<RecurrenceInput, T>> & Record<'q' | 'k' | 'v' | 'decay', T>>;

export function named<T>(inputs: readonly T[], { inputs: names }: Pick<RecurrenceAttributes, 'inputs'>): Named<T> {
  return Object.fromEntries(names.map((name, i) => [name, inputs[i]!])) as Named<T>;
}

/** Inputs in their order, and their names, of those that are there. */
export function listed<T>(given: Partial<Record<RecurrenceInput, T | undefined>>): {
  readonly tensors: readonly T[];
  readonly inputs: readonly RecurrenceInput[];
} {
  const inputs = inputNames.filter((name) => given[name] !== undefined);
  return { inputs, tensors: inputs.map((name) => given[name]!) };
}

/** K heads of keys of Dk values, H heads of values of Dv, a multiple of K. */
export interface RecurrenceSizes {
  readonly K: number;
  readonly H: number;
  readonly Dk: number;
  readonly Dv: number;
}

/** Sizes of q `[..., K, Dk]`, k, v `[..., H, Dv]`, decay `[..., H]` and beta. @throws ShapeError, DTypeError */
export function checkRecurrence(name: string, inputs: Named<TensorType>, axes: 1 | 2): RecurrenceSizes {
  const { q, k, v, decay, beta } = inputs;
  const lead = axes === 2 ? 'B, L' : 'T';
  const fail = (rule: string, ...got: readonly TensorType[]): never => {
    throw new ShapeError(`${name}: ${rule}, got ${got.map(({ shape }) => formatShape(shape)).join(' and ')}`);
  };
  if (q.shape.length !== axes + 2 || !shapesEqual(q.shape, k.shape)) fail(`q and k must be [${lead}, K, Dk]`, q, k);
  const rows = q.shape.slice(0, axes);
  if (v.shape.length !== axes + 2 || !shapesEqual(v.shape.slice(0, axes), rows))
    fail(`v must be [${lead}, H, Dv], with the rows of q`, v, q);
  const [K, Dk, H, Dv] = [...q.shape.slice(-2), ...v.shape.slice(-2)];
  const fits =
    [K, Dk, H, Dv].every((size) => typeof size === 'number' && size > 0) && (H as number) % (K as number) === 0;
  if (!fits) fail('H must be a multiple of K, and all of them numbers', v, q);
  for (const gate of beta ? [decay, beta] : [decay])
    if (!shapesEqual(gate.shape, [...rows, H!])) fail(`decay and beta must be [${lead}, H]`, gate);
  for (const [what, type] of Object.entries({ q, k, v, decay, beta, state: inputs.state, pool: inputs.pool }))
    if (type && !isFloat(type.dtype)) throw new DTypeError(`${name}: ${what} must be f32 or f16, got ${type.dtype}`);
  return { K, H, Dk, Dv } as RecurrenceSizes;
}

/** The shape of states, one for each of `count`. */
export const stateShape = (count: Dim, { H, Dk, Dv }: RecurrenceSizes): readonly Dim[] => [count, H, Dk, Dv];
