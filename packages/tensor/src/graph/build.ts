import { ArgumentError, DeviceError, DTypeError } from '../checks/errors.ts';
import { type DimSymbol, dimsEqual, SymbolicDim, symbolsOf } from '../dim.ts';
import { isBlockFormat } from '../dtype.ts';
import { plainKey } from '../plain-key.ts';
import { boundedOp, type IndexRange } from './bounded.ts';
import { type Containers, containersOf } from './containers.ts';
import type { Executor } from './executor.ts';
import type { Graph } from './graph.ts';
import { type IndexCheck, limitsOf } from './index-checks.ts';
import { inputOp, isLeafOp, type Node, variableOp } from './op.ts';
import { recordOn } from './record.ts';
import { scheduleNodes } from './schedule.ts';
import type { Tensor } from './tensor.ts';
import { Update, Variable } from './variable.ts';

/** What a graph is built for: an executor, or a format of files. */
type Lowerer = Pick<Executor, 'name' | 'lowers' | 'debug'>;

/** What a graph is built from. */
export interface Recording {
  readonly outputs: readonly Tensor[];
  readonly updates: readonly Update[];
  /** Placeholders, in the order in which a run gives them. */
  readonly inputs: readonly Tensor[];
}

/** A built graph with a text that is equal for graphs that compute the same from the same inputs and variables. */
export interface BuiltGraph {
  readonly graph: Graph;
  readonly key: string;
  /** Leaves that became inputs behind those of the recording, in order. */
  readonly leaves: readonly Tensor[];
  /** What a debugging device checks: where there is any, the graph's last output is that of `limitsOf`. */
  readonly checks: readonly IndexCheck[];
}

/**
 * Rewrites what was recorded into what `executor` can run: operations without a lowering of its own are decomposed, equal
 * applications become one, and only what outputs and updates need is kept.
 *
 * With `leaves: 'inputs'` stored tensors become inputs (so that the program serves other tensors too); with 'constants'
 * they are fixed in the program.
 */
export function buildGraph(executor: Lowerer, recording: Recording, leaves: 'inputs' | 'constants'): BuiltGraph {
  checkUpdates(recording.updates);
  const first = recording.outputs[0] ?? recording.updates[0]?.variable;
  const build = () => rewriteAll(executor, recording, leaves);
  return first ? first.device.remembered.withoutUses(build) : build();
}

function rewriteAll(executor: Lowerer, recording: Recording, leaves: 'inputs' | 'constants'): BuiltGraph {
  const rewriter = new Rewriter(executor, recording.inputs, leaves, containersOf(recording));
  for (const { dtype } of recording.outputs)
    if (isBlockFormat(dtype))
      throw new DTypeError(`compile: nothing computes ${dtype}, it is no result; dequantize it`);
  const outputs = recording.outputs.map((tensor) => rewriter.rewrite(tensor));
  const updates = recording.updates.map(
    ({ variable, value, rows }) => new Update(variable, rewriter.rewrite(value), rows && rewriter.rewrite(rows)),
  );
  for (const { variable } of updates) rewriter.use(variable);
  const checks = executor.debug ? [...rewriter.checks, ...recording.updates.flatMap(rowCheck)] : [];
  if (checks.length > 0) outputs.push(rewriter.rewrite(limitsOf(checks)));
  const id = (tensor: Tensor) => rewriter.idOf(tensor);
  const effects = updates.map((u) => `${id(u.variable)}<-${id(u.value)}${u.rows ? `@${id(u.rows)}` : ''}`);
  return {
    graph: {
      inputs: [...recording.inputs, ...rewriter.standIns],
      constants: rewriter.constants,
      variables: rewriter.variables,
      nodes: scheduleNodes(rewriter.nodes, [
        ...outputs,
        ...updates.flatMap((u) => (u.rows ? [u.value, u.rows] : [u.value])),
      ]),
      outputs,
      updates,
      symbols: collectSymbols(recording.inputs, rewriter.nodes),
    },
    key: [...rewriter.keys, `out ${outputs.map(id).join()}`, ...effects].join('\n'),
    leaves: rewriter.leaves,
    checks,
  };
}

function rowCheck({ variable, rows }: Update): readonly IndexCheck[] {
  return rows ? [{ operation: 'scatter', indices: rows, size: variable.shape[0]!, ignored: 'negative' }] : [];
}

/** Rows of a variable may be written by several updates; a whole value only by one. */
function checkUpdates(updates: readonly Update[]): void {
  const seen = new Map<Variable, Update>();
  for (const update of updates) {
    const before = seen.get(update.variable);
    if (before && !(before.rows && update.rows))
      throw new ArgumentError(`assign: variable '${update.variable.name}' is assigned and changed again in one run`);
    seen.set(update.variable, update);
  }
  for (const update of updates) {
    update.variable.noteUpdate(update);
  }
}

/** The symbolic dimensions of inputs, results and attributes (a lowering may use sizes that no result shows). */
function collectSymbols(inputs: readonly Tensor[], nodes: readonly Node[]): DimSymbol[] {
  const found = new Map<string, DimSymbol>();
  const visit = (value: unknown): void => {
    if (value instanceof SymbolicDim) for (const symbol of symbolsOf(value)) found.set(symbol.name, symbol);
    else if (typeof value === 'object' && value !== null) for (const child of Object.values(value)) visit(child);
  };
  for (const { shape } of inputs) visit(shape);
  for (const { outputs, attributes } of nodes) {
    for (const { shape } of outputs) visit(shape);
    visit(attributes);
  }
  return [...found.values()];
}

class Rewriter {
  readonly nodes: Node[] = [];
  readonly constants: Tensor[] = [];
  readonly variables: Variable[] = [];
  readonly leaves: Tensor[] = [];
  readonly standIns: Tensor[] = [];
  readonly keys: string[] = [];
  readonly checks: IndexCheck[] = [];
  readonly #executor: Lowerer;
  readonly #leafMode: 'inputs' | 'constants';
  readonly #containers: Containers;
  readonly #done = new Map<Tensor, Tensor>();
  readonly #ids = new Map<Tensor, number>();
  readonly #byKey = new Map<string, Node>();

  constructor(executor: Lowerer, inputs: readonly Tensor[], leafMode: 'inputs' | 'constants', containers: Containers) {
    this.#executor = executor;
    this.#leafMode = leafMode;
    this.#containers = containers;
    for (const input of inputs) this.#leaf(input, input, `input ${input.dtype} ${input.shape}`);
  }

  idOf(tensor: Tensor): number {
    return this.#ids.get(tensor)!;
  }

  use(variable: Variable): void {
    if (!this.#done.has(variable)) this.#leafOf(variable);
  }

  /** The lowered value of `root`. Works through a stack of its own: graphs are deeper than the call stack. */
  rewrite(root: Tensor): Tensor {
    const stack: Tensor[] = [root];
    while (stack.length > 0) {
      const tensor = stack[stack.length - 1]!;
      if (this.#done.has(tensor)) {
        stack.pop();
        continue;
      }
      tensor.assertUsable(tensor.node.op.name);
      if (this.#isStored(tensor) || isLeafOp(tensor.node.op)) {
        this.#leafOf(tensor);
        continue;
      }
      const within = this.#containers.find(tensor);
      if (within) {
        const known = this.#done.get(within);
        if (known) this.#done.set(tensor, known);
        else stack.push(within);
        continue;
      }
      const missing = tensor.node.inputs.filter((input) => !this.#done.has(input));
      // the first input first: in a gradient that is what comes from behind, before what it is multiplied by
      if (missing.length > 0) stack.push(...missing.reverse());
      else this.#application(tensor.node, stack);
    }
    return this.#done.get(root)!;
  }

  /** What is only remembered may be forgotten: a program that is kept does not count on it. */
  #isStored(tensor: Tensor): boolean {
    return tensor.storage !== undefined && !(this.#leafMode === 'constants' && tensor.isRemembered);
  }

  #leafOf(tensor: Tensor): void {
    if (tensor instanceof Variable) {
      this.variables.push(tensor);
      this.#leaf(tensor, tensor, `variable ${tensor.device.identify(tensor)}`);
      return;
    }
    const { op } = tensor.node;
    if (!tensor.storage || op === variableOp)
      throw new DeviceError(
        `${op.name}: ${op === inputOp ? 'an argument of a compiled function was used outside of its run' : 'a leaf has no values'}`,
      );
    if (this.#leafMode === 'constants') {
      this.constants.push(tensor);
      this.#leaf(tensor, tensor, `constant ${tensor.device.identify(tensor)}`);
      return;
    }
    const { shape, dtype } = tensor;
    const standIn = recordOn(tensor.device, inputOp, [], { name: `leaf${this.leaves.length}`, shape, dtype })[0]!;
    this.leaves.push(tensor);
    this.standIns.push(standIn);
    this.#leaf(tensor, standIn, `input ${dtype} ${shape}`);
  }

  #leaf(tensor: Tensor, as: Tensor, key: string): void {
    this.#done.set(tensor, as);
    this.#done.set(as, as); // decompositions are recorded on lowered inputs
    this.#ids.set(as, this.#ids.size);
    this.keys.push(key);
  }

  /** Lowers one application whose inputs are lowered; decomposed outputs are pushed on the stack to be lowered in turn. */
  #application(node: Node, stack: Tensor[]): void {
    const inputs = node.inputs.map((input) => this.#done.get(input)!);
    // a program that is kept for other tensors keeps none of these alive
    const same = this.#leafMode === 'constants' && inputs.every((input, i) => input === node.inputs[i]);
    const lowered = same ? node : recordOn(node.outputs[0]!.device, node.op, inputs, node.attributes)[0]!.node;
    if (this.#executor.lowers(lowered)) {
      const kept = this.#keep(lowered);
      for (const [i, output] of node.outputs.entries()) this.#done.set(output, kept.outputs[i]!);
      return;
    }
    if (!node.op.decompose)
      throw new DeviceError(
        `${node.op.name}: the ${this.#executor.name} executor has no lowering of it and it has no decomposition`,
      );
    if (node.op === boundedOp) this.#note(node.attributes as IndexRange, inputs[0]!);
    const parts = this.#decomposed.get(node) ?? node.op.decompose(inputs, node.attributes);
    this.#decomposed.set(node, parts);
    const missing = parts.filter((part) => !this.#done.has(part));
    if (missing.length > 0) stack.push(...missing);
    else for (const [i, output] of node.outputs.entries()) this.#done.set(output, this.#done.get(parts[i]!)!);
  }
  readonly #decomposed = new Map<Node, readonly Tensor[]>();

  /** One check is enough for one operation's equal indices. */
  #note(range: IndexRange, indices: Tensor): void {
    const { operation, size } = range;
    const isKnown = this.checks.some(
      (other) => other.indices === indices && other.operation === operation && dimsEqual(other.size, size),
    );
    if (!isKnown) this.checks.push({ ...range, indices });
  }

  /** The one node that stands for all equal ones. */
  #keep(node: Node): Node {
    const key = `${node.op.key ?? node.outputs[0]!.device.identify(node.op)} ${node.op.name} ${plainKey(node.attributes)} ${node.inputs.map((i) => this.idOf(i)).join()}`;
    const known = this.#byKey.get(key);
    if (known) return known;
    this.#byKey.set(key, node);
    this.nodes.push(node);
    this.keys.push(key);
    for (const output of node.outputs) {
      this.#ids.set(output, this.#ids.size);
      this.#done.set(output, output);
    }
    return node;
  }
}
