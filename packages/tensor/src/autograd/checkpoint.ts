import { checkArguments } from '../checks/check-arguments.ts';
import { isFloat } from '../dtype.ts';
import { defineOp, type GradientContext, type Op } from '../graph/op.ts';
import { record } from '../graph/record.ts';
import { tensorsOf } from '../graph/recorded-leaves.ts';
import { nodesBetween, replay } from '../graph/replay.ts';
import { Tensor } from '../graph/tensor.ts';
import { type None, none } from '../ops/elementwise/define-elementwise.ts';
import { barrier } from '../ops/movement/barrier.ts';
import { identity } from '../ops/movement/identity.ts';
import { mapTree, refusePromises } from '../tree.ts';
import { backward } from './gradients.ts';

/**
 * The same function, of which the backward pass keeps the arguments only: what it computed in between is freed and computed
 * again when its gradient is due. Memory for time; values and gradients are the same.
 *
 * Arguments and results are tensors or nested arrays and plain objects of them; `fn` is called once and only records. Tensors
 * that it uses from outside (weights) get their gradients too and are not computed again, nor is what depends on no argument:
 * give a key of dropout as an argument. The recomputation starts when the gradient with respect to a result is there, and nothing merges it
 * with the first computation, on any executor.
 * @throws nothing of its own: what `fn` throws
 */
export function checkpoint<A extends readonly unknown[], R>(fn: (...args: A) => R): (...args: A) => R {
  checkArguments('checkpoint', 'function', { fn });
  return (...args) => {
    const given = tensorsOf(args);
    if (given.length === 0) return fn(...args);
    const standIns: Tensor[] = [];
    const own = mapTree(args, (leaf) => {
      if (!(leaf instanceof Tensor)) return leaf;
      const standIn = identity(leaf);
      standIns.push(standIn);
      return standIn;
    });
    const result = fn(...(own as unknown as A));
    refusePromises('checkpoint', result);
    const outputs = tensorsOf(result);
    const captured = capturedBy(standIns, outputs);
    const results = record(checkpointOp(outputs, standIns, captured), [...given, ...captured], none);
    let next = 0;
    return mapTree(result, (leaf) => (leaf instanceof Tensor ? results[next++] : leaf)) as R;
  };
}

/** What the computation of `outputs` takes beside the arguments. */
function capturedBy(standIns: readonly Tensor[], outputs: readonly Tensor[]): Tensor[] {
  const nodes = nodesBetween(new Set(standIns), outputs);
  const inside = new Set<Tensor>([...standIns, ...nodes.flatMap((node) => node.outputs)]);
  return [...new Set(nodes.flatMap((node) => node.inputs).filter((input) => !inside.has(input)))];
}

/** An operation of one application: its decomposition is what was recorded. */
function checkpointOp(outputs: readonly Tensor[], standIns: readonly Tensor[], captured: readonly Tensor[]): Op<None> {
  const again = (inputs: readonly Tensor[]) =>
    replay(outputs, new Map([...standIns, ...captured].map((tensor, i) => [tensor, inputs[i]!])));
  return defineOp<None>({
    name: 'checkpoint',
    // weights that are storage-only are read by what it is made of, as without it
    takes: () => true,
    shape: () => outputs.map(({ shape, dtype }) => ({ shape, dtype })),
    decompose: again,
    gradient({ inputs, outputGradients, needs }: GradientContext<None>) {
      const due = outputGradients.find((gradient) => gradient !== undefined)!;
      const held = inputs.map((input, i) => (i < standIns.length ? barrier(input, due) : input));
      const wrt = held.filter((tensor, i) => needs[i] && isFloat(tensor.dtype));
      const found = backward(again(held), outputGradients, wrt, 'partial');
      return held.map((tensor) => found.get(tensor));
    },
  });
}
