import { checkArguments } from '../checks/check-arguments.ts';
import { describe } from '../checks/describe.ts';
import { ArgumentError } from '../checks/errors.ts';
import { isLeafOp, type Node } from './op.ts';
import { record } from './record.ts';
import type { Tensor } from './tensor.ts';

/**
 * Nodes between `from` and `outputs`, inputs first: those whose results depend on a tensor of `from`. What is behind a tensor
 * of `ends`, by default those of `from`, is not looked at.
 */
export function nodesBetween(
  from: ReadonlySet<Tensor>,
  outputs: readonly Tensor[],
  ends: ReadonlySet<Tensor> = from,
): Node[] {
  const found: Node[] = [];
  const dependent = new Set<Tensor>(from);
  const done = new Set<Node>();
  const isEnd = (tensor: Tensor) => ends.has(tensor) || isLeafOp(tensor.node.op);
  const stack = outputs.filter((output) => !isEnd(output)).map(({ node }) => node);
  while (stack.length > 0) {
    const node = stack[stack.length - 1]!;
    const open = done.has(node) ? [] : node.inputs.filter((input) => !isEnd(input) && !done.has(input.node));
    if (open.length > 0) {
      for (const input of open) stack.push(input.node);
      continue;
    }
    stack.pop();
    if (done.has(node)) continue;
    done.add(node);
    if (!node.inputs.some((input) => dependent.has(input))) continue;
    for (const output of node.outputs) dependent.add(output);
    found.push(node);
  }
  return found;
}

/** What stands in the place of a tensor when a graph is recorded once more. */
export interface Replacement {
  readonly tensor: Tensor;
  /** Whether what this tensor is computed from is rewritten in turn; otherwise it is taken as it is. */
  readonly isRewritten?: boolean;
}

/** How a graph is rewritten. */
export interface RewriteRules {
  /** Asked once of each tensor, before those that it is computed from; undefined: it stays, or is recorded on other inputs. */
  replace(tensor: Tensor): Replacement | undefined;
  /** Records an application of which inputs have changed: by default the same operation on them. */
  rebuild?(node: Node, inputs: readonly Tensor[]): readonly Tensor[];
}

/**
 * Records what leads to `outputs` once more, by rules. What is computed from nothing that was replaced is not recorded again.
 *
 * ```ts
 * // y, with x2 in the place of x
 * const [y2] = rewriteGraph([y], { replace: (tensor) => (tensor === x ? { tensor: x2 } : undefined) });
 * ```
 * @throws ArgumentError for what are no tensors or no rules; what the rules throw
 */
export function rewriteGraph(outputs: readonly Tensor[], rules: RewriteRules): Tensor[] {
  checkArguments('rewriteGraph', 'tensors', { outputs });
  checkArguments('rewriteGraph', 'object', { rules });
  checkArguments('rewriteGraph', 'function', { 'rules.replace': rules.replace });
  const rewriter = new Rewriter(rules);
  return outputs.map((output) => rewriter.rewrite(output));
}

class Rewriter {
  readonly #rules: RewriteRules;
  readonly #values = new Map<Tensor, Tensor>();
  /** Tensors that others are rewritten to: undefined for those that stay. */
  readonly #instead = new Map<Tensor, Tensor | undefined>();
  readonly #results = new Map<Node, readonly Tensor[]>();

  constructor(rules: RewriteRules) {
    this.#rules = rules;
  }

  /** Without recursion: graphs are deeper than stacks. */
  rewrite(root: Tensor): Tensor {
    const stack = [root];
    while (stack.length > 0) {
      const tensor = stack[stack.length - 1]!;
      const open = this.#values.has(tensor) ? [] : this.#open(tensor);
      // the first one is on top, so that rules are asked in the order of inputs
      for (const needed of open.reverse()) stack.push(needed);
      if (open.length > 0) continue;
      stack.pop();
      if (!this.#values.has(tensor)) this.#values.set(tensor, this.#made(tensor));
    }
    return this.#values.get(root)!;
  }

  /** What has to be known before a tensor is. */
  #open(tensor: Tensor): Tensor[] {
    if (!this.#instead.has(tensor)) {
      const found = this.#rules.replace(tensor);
      if (found && !found.isRewritten) {
        this.#values.set(tensor, found.tensor);
        return [];
      }
      this.#instead.set(tensor, found?.tensor);
    }
    const instead = this.#instead.get(tensor);
    return (instead ? [instead] : tensor.node.inputs).filter((input) => !this.#values.has(input));
  }

  #made(tensor: Tensor): Tensor {
    const instead = this.#instead.get(tensor);
    if (instead) return this.#values.get(instead)!;
    const { node } = tensor;
    const inputs = node.inputs.map((input) => this.#values.get(input)!);
    if (inputs.every((input, i) => input === node.inputs[i])) return tensor;
    let results = this.#results.get(node);
    if (!results) {
      results = this.#rules.rebuild?.(node, inputs) ?? record(node.op, inputs, node.attributes);
      this.#results.set(node, results);
    }
    return results[tensor.outputIndex]!;
  }
}

/**
 * Records what leads to `outputs` once more, with other tensors in the place of those that `substitutes` names.
 * @throws ArgumentError for what are no tensors or no map
 */
export function replay(outputs: readonly Tensor[], substitutes: ReadonlyMap<Tensor, Tensor>): Tensor[] {
  if (!(substitutes instanceof Map))
    throw new ArgumentError(`replay: substitutes must be a Map, got ${describe(substitutes)}`);
  return rewriteGraph(outputs, {
    replace(tensor) {
      const substitute = substitutes.get(tensor);
      return substitute && { tensor: substitute };
    },
  });
}
