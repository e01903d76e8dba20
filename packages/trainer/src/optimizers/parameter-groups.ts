import { ArgumentError, checkOptions, type Tensor } from '@heddle/tensor';
import { checkOptimizer, type Optimizer, type Parameter } from './optimizer.ts';
import { splitScalars } from './split-scalars.ts';

/** Parameters that one optimizer takes. */
export interface ParameterGroup {
  /** Whether a parameter belongs here; where not named, all that no earlier group took. */
  readonly includes?: (parameter: Parameter) => boolean;
  readonly optimizer: Optimizer;
}

/**
 * Gives each parameter to the optimizer of the first group that includes it: other rates, other decay, another algorithm.
 * Reports show the learning rate of the first group.
 *
 * ```ts
 * const matrices = ({ value }: Parameter) => value.rank === 2;
 * parameterGroups([
 *   { includes: matrices, optimizer: muon({ learningRate: 0.02 }) },
 *   { optimizer: adamw({ learningRate: 3e-4 }) },
 * ]);
 * ```
 * @throws ArgumentError for no groups; from `init` for a parameter that no group includes
 */
export function parameterGroups(groups: readonly ParameterGroup[]): Optimizer<readonly unknown[]> {
  if (!Array.isArray(groups) || groups.length === 0)
    throw new ArgumentError('parameterGroups: takes a list of at least one group');
  for (const [i, group] of groups.entries()) {
    checkOptions(`parameterGroups: group ${i}`, group, { includes: 'function?', optimizer: 'object' });
    checkOptimizer('parameterGroups', group.optimizer);
  }
  /** The index of each parameter's group. */
  const membership = (parameters: readonly Parameter[]) =>
    parameters.map((parameter) => {
      const at = groups.findIndex(({ includes }) => !includes || includes(parameter));
      if (at < 0) throw new ArgumentError(`parameterGroups: no group includes '${parameter.name}'`);
      return at;
    });
  const members = <T>(values: readonly T[], of: readonly number[], group: number) =>
    values.filter((_, i) => of[i] === group);
  return {
    init(parameters, allocate) {
      const of = membership(parameters);
      return groups.map(({ optimizer }, group) => optimizer.init(members(parameters, of, group), allocate));
    },
    scalars: (step) => groups.flatMap(({ optimizer }) => optimizer.scalars(step)),
    learningRate: (step) => groups[0]!.optimizer.learningRate(step),
    update(gradients, state, parameters, context) {
      const of = membership(parameters);
      const own = splitScalars(
        groups.map(({ optimizer }) => optimizer),
        context,
      );
      const results = groups.map(({ optimizer }, group) => {
        const taken = members(parameters, of, group);
        if (taken.length === 0) return { parameters: [], state: state[group] };
        return optimizer.update(members(gradients, of, group), state[group], taken, own[group]!);
      });
      const next: Tensor[] = [];
      const taken = groups.map(() => 0);
      for (const group of of) next.push(results[group]!.parameters[taken[group]!++]!);
      return { parameters: next, state: results.map((result) => result.state) };
    },
  };
}
