import { ArgumentError } from '@heddle/tensor';
import type { GradientTransform, Optimizer } from './optimizer.ts';
import { splitScalars } from './split-scalars.ts';

/**
 * Gradient transforms, applied in order, and the optimizer that takes what they give: `chain(clipByGlobalNorm(1), adamw(...))`.
 * The chain is an optimizer itself; its state is the list of theirs.
 * @throws ArgumentError where the last is no optimizer, or another is no transform
 */
export function chain(...parts: [...GradientTransform[], Optimizer]): Optimizer<readonly unknown[]> {
  const optimizer = parts.at(-1) as Optimizer;
  for (const [i, part] of parts.entries())
    if (typeof part?.update !== 'function' || 'learningRate' in part !== (part === optimizer))
      throw new ArgumentError(`chain: takes gradient transforms and an optimizer as the last, not so at place ${i}`);
  if (!optimizer) throw new ArgumentError('chain: takes gradient transforms and an optimizer as the last, got nothing');
  const transforms = parts.slice(0, -1) as GradientTransform[];
  return {
    init: (parameters, allocate) => parts.map((part) => part.init(parameters, allocate)),
    scalars: (step) => parts.flatMap((part) => part.scalars(step)),
    learningRate: (step) => optimizer.learningRate(step),
    update(gradients, state, parameters, context) {
      const contexts = splitScalars(parts, context);
      const states: unknown[] = [];
      let current = gradients;
      for (const [i, transform] of transforms.entries()) {
        const next = transform.update(current, state[i], parameters, contexts[i]!);
        current = next.gradients;
        states.push(next.state);
      }
      const last = optimizer.update(current, state[transforms.length], parameters, contexts[transforms.length]!);
      return { parameters: last.parameters, state: [...states, last.state] };
    },
  };
}
