import { ArgumentError, checkArguments, checkOptions } from '@heddle/tensor';

/**
 * Gives each batch a `dropoutKey` of its own, by which the dropout of a model or an adapter leaves out other values in each step: the same ones
 * for the same seed and place.
 * @param options `from`: the place of the first batch, for a run that goes on; 0 where not named
 */
export async function* withDropoutKeys<B extends object>(
  batches: Iterable<B> | AsyncIterable<B>,
  options: { readonly seed: number; readonly from?: number },
): AsyncGenerator<B & { readonly dropoutKey: Uint32Array<ArrayBuffer> }, void> {
  checkArguments('withDropoutKeys', 'iterable', { batches });
  checkOptions('withDropoutKeys', options, ['seed', 'from']);
  const { seed, from = 0 } = options;
  for (const [name, value] of Object.entries({ seed, from }))
    if (!Number.isSafeInteger(value) || value < 0)
      throw new ArgumentError(`withDropoutKeys: ${name} must be a whole number from 0, got ${String(value)}`);
  let place = from;
  for await (const batch of batches) yield { ...batch, dropoutKey: Uint32Array.of(seed >>> 0, place++ >>> 0) };
}
