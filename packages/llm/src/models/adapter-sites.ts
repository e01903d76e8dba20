import { ShapeError, type Variable } from '@heddle/tensor';
import type { Lora } from '@heddle/trainer/lora';
import type { CausalLm } from './causal-lm.ts';

/** The name of the linear layer that a weight belongs to. */
export const siteOf = ({ name }: Variable): string => name.replace(/\.weight$/, '');

/**
 * Checks that every layer that an adapter has factors for is one of the model's, of that size: others would be passed over.
 * @throws ShapeError naming the layer
 */
export function checkAdapter({ parameters }: Pick<CausalLm, 'parameters'>, lora: Lora): void {
  const weights = new Map(parameters.map((parameter) => [siteOf(parameter), parameter]));
  for (const [site, { a, b }] of lora.factors) {
    const weight = weights.get(site);
    if (!weight) throw new ShapeError(`adapter: it is of another model: this one has no layer '${site}'`);
    const [outputs, inputs] = weight.shape;
    if (weight.rank !== 2 || a.shape[1] !== inputs || b.shape[0] !== outputs)
      throw new ShapeError(
        `adapter: it is of another model: '${site}' is [${String(weight.shape)}] here, and [${String(b.shape[0])},${String(a.shape[1])}] in the adapter`,
      );
  }
}
