import { isHeddleError } from '../checks/errors.ts';
import type { EagerPrograms } from './eager-programs.ts';
import type { Storage } from './executor.ts';
import { isLeafOp } from './op.ts';
import type { Tensor } from './tensor.ts';
import { type Update, Variable } from './variable.ts';

/** Operations that are computed again rather than kept. */
const cheapOperations = 32;
/** Reads after which a value that was kept belongs to its handle, and is a constant to gradients. */
const keptReads = 64;
/** Bytes of kept values, apart from those of the last read. */
const keptBytes = 256 * 2 ** 20;

interface Kept {
  readonly tensor: WeakRef<Tensor>;
  readonly read: number;
}

/**
 * Values that a read computes on the way to its own and that will be needed again: so a loop that makes weights of weights
 * and reads a loss in each step computes each step once, and not all the steps before it.
 *
 * Needed again is what other operations were recorded on, or what was already used after a read before. It is kept where
 * computing it takes more than a few operations, as long as it is small enough and was not kept long ago.
 */
export class Remembered {
  readonly #afterCalls: (task: () => void) => void;
  #kept: Kept[] = [];
  #epoch = 0;
  #countsUses = true;

  /** @param afterCalls runs a task behind the calls that are under way */
  constructor(afterCalls: (task: () => void) => void) {
    this.#afterCalls = afterCalls;
  }

  /** How many reads there were. */
  get epoch(): number {
    return this.#epoch;
  }

  /** An operation was recorded on these. */
  noteUses(inputs: readonly Tensor[]): void {
    if (!this.#countsUses) return;
    for (const input of inputs) {
      input.uses++;
      if (input.epoch < this.#epoch) input.outlivedRead = true;
    }
  }

  /** What is recorded meanwhile belongs to programs. */
  withoutUses<T>(task: () => T): T {
    const before = this.#countsUses;
    this.#countsUses = false;
    try {
      return task();
    } finally {
      this.#countsUses = before;
    }
  }

  /** What a read that computes `outputs` should keep beside them. */
  worthKeeping(outputs: readonly Tensor[]): readonly Tensor[] {
    this.#epoch++;
    const order = inOrder(outputs);
    if (order.length <= cheapOperations) return [];
    const inside = new Map<Tensor, number>();
    for (const node of new Set(order.map((tensor) => tensor.node)))
      for (const input of node.inputs) inside.set(input, (inside.get(input) ?? 0) + 1);
    const asked = new Set(outputs);
    const changing = new Set<Tensor>();
    const kept = new Set<Tensor>();
    for (const tensor of order) {
      if (tensor.node.inputs.some((input) => changing.has(input) || isChanging(input))) changing.add(tensor);
      if (asked.has(tensor) || changing.has(tensor)) continue;
      const isNeeded = tensor.outlivedRead || tensor.uses > (inside.get(tensor) ?? 0);
      if (isNeeded && isCostly(tensor, kept)) kept.add(tensor);
    }
    return [...kept];
  }

  /** Storages of `outputs`, owned by the caller; what else is of use later is kept, where it fits. */
  async computeWith(
    programs: EagerPrograms,
    outputs: readonly Tensor[],
    updates: readonly Update[],
  ): Promise<readonly Storage[]> {
    const also = this.worthKeeping(outputs);
    const computed = programs.compute([...outputs, ...also], updates);
    if (also.length === 0) return await computed;
    try {
      const storages = await computed;
      this.keep(also, storages.slice(outputs.length));
      return storages.slice(0, outputs.length);
    } catch (error) {
      if (!isHeddleError(error, 'ERR_OUT_OF_MEMORY')) throw error;
      return await programs.compute(outputs, updates);
    }
  }

  /** Keeps what `worthKeeping` named. */
  keep(tensors: readonly Tensor[], storages: readonly Storage[]): void {
    tensors.forEach((tensor, i) => {
      tensor.remember(storages[i]!);
    });
    this.#kept.push(...tensors.map((tensor) => ({ tensor: new WeakRef(tensor), read: this.#epoch })));
    this.#letGo();
  }

  /** Forgets everything. */
  clear(): void {
    for (const { tensor } of this.#kept) this.#forget(tensor.deref());
    this.#kept = [];
  }

  #letGo(): void {
    const last = this.#kept.at(-1)?.read;
    let bytes = 0;
    this.#kept = this.#kept
      .reverse()
      .filter((entry) => {
        const tensor = entry.tensor.deref();
        if (!tensor?.isRemembered) return false;
        if (entry.read < this.#epoch - keptReads) {
          tensor.cutOff();
          return false;
        }
        bytes += tensor.storage!.byteLength;
        if (entry.read === last || bytes <= keptBytes) return true;
        this.#forget(tensor);
        return false;
      })
      .reverse();
  }

  #forget(tensor: Tensor | undefined): void {
    const storage = tensor?.forget();
    if (storage) this.#afterCalls(() => storage.dispose());
  }
}

/** Whether computing a tensor takes many operations, counted from values that are there or are kept. */
function isCostly(tensor: Tensor, kept: ReadonlySet<Tensor>): boolean {
  const seen = new Set<Tensor>();
  const stack = [tensor];
  while (stack.length > 0 && seen.size <= cheapOperations) {
    const next = stack.pop()!;
    if (seen.has(next) || kept.has(next) || isThere(next)) continue;
    seen.add(next);
    stack.push(...next.node.inputs);
  }
  return seen.size > cheapOperations;
}

/** What has to be computed for `outputs`, each after what it is computed from. */
function inOrder(outputs: readonly Tensor[]): readonly Tensor[] {
  const order = new Set<Tensor>();
  const entered = new Set<Tensor>();
  const stack = [...outputs];
  while (stack.length > 0) {
    const tensor = stack.at(-1)!;
    if (order.has(tensor) || isThere(tensor)) stack.pop();
    else if (entered.has(tensor)) order.add(stack.pop()!);
    else {
      entered.add(tensor);
      for (const input of tensor.node.inputs) if (!entered.has(input)) stack.push(input);
    }
  }
  return [...order];
}

const isThere = (tensor: Tensor): boolean => tensor.storage !== undefined || isLeafOp(tensor.node.op);
const isChanging = (tensor: Tensor): boolean => tensor instanceof Variable && !tensor.frozen;
