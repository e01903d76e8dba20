import { ArgumentError, type DType, type HostArray, type Variable } from '@heddle/tensor';

/** Replaces the values of a variable by those of the host, in its shape; f16 and bf16 as bits. */
export async function writeVariable(variable: Variable, data: HostArray): Promise<void> {
  const { device, shape, dtype } = variable;
  const value = device.tensor(data, { shape: shape as readonly number[], dtype: dtype as DType });
  try {
    await device.realize([], [variable.assign(value)]);
  } finally {
    value.dispose();
  }
}

/** Exchanges the values of variables pairwise: every read comes before the writes. @throws ArgumentError for other dtypes */
export async function exchange(some: readonly Variable[], others: readonly Variable[]): Promise<void> {
  for (const [i, variable] of some.entries())
    if (variable.dtype !== others[i]!.dtype)
      throw new ArgumentError(
        `train step: averages are ${others[i]!.dtype}, and ${variable.name} is ${variable.dtype}`,
      );
  await some[0]!.device.realize(
    [],
    some.flatMap((variable, i) => [variable.assign(others[i]!), others[i]!.assign(variable)]),
  );
}
