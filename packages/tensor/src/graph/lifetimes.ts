import { leavesOf } from '../tree.ts';
import type { Storage } from './executor.ts';
import type { Tensor } from './tensor.ts';

/** What a scope can free. */
interface Disposes {
  dispose(): void;
}

/** The part of `node:async_hooks` that follows a scope over its awaits. */
interface AsyncContext {
  run<T>(scope: Scope, task: () => T): T;
  getStore(): Scope | undefined;
}

/** Handles that were made in one call of `tidy` and hold values. */
export class Scope {
  readonly parent: Scope | undefined;
  readonly #handles = new Set<Disposes>();
  #ended = false;

  constructor(parent: Scope | undefined) {
    this.parent = parent;
  }
  add(handle: Disposes): void {
    if (this.#ended) this.parent?.add(handle);
    else this.#handles.add(handle);
  }
  delete(handle: Disposes): void {
    this.#handles.delete(handle);
  }
  /** Frees all but `kept`, which are the outer scope's from now on. */
  end(kept: ReadonlySet<unknown>): void {
    this.#ended = true;
    for (const handle of this.#handles)
      if (!kept.has(handle)) handle.dispose();
      else this.parent?.add(handle);
    this.#handles.clear();
  }
}

/** Gives a scope something to free at its end, and gives it back. */
export type Own = <T extends Disposes>(handle: T) => T;

/** Which handles of a device hold values: it frees those of scopes that end, and those that nobody can reach any more. */
export class Lifetimes {
  readonly #collected = new FinalizationRegistry<Storage>((storage) => storage.dispose());
  #context: AsyncContext | undefined;
  #current: Scope | undefined;

  /** A handle owns values from now on. */
  begin(tensor: Tensor, storage: Storage): void {
    this.#collected.register(tensor, storage, tensor);
  }
  /** A handle owns none any more. */
  end(tensor: Tensor): void {
    this.#collected.unregister(tensor);
  }

  /** The scope in which handles are made now. */
  get scope(): Scope | undefined {
    return this.#context ? this.#context.getStore() : this.#current;
  }

  /** Runs `fn` as a scope. @param settle realizes what an asynchronous scope gives, before what it was computed from is freed */
  tidy<T>(fn: (own: Own) => T, settle: (tensors: readonly Tensor[]) => Promise<unknown>): T {
    this.#context ??= asyncContext();
    const scope = new Scope(this.scope);
    const own: Own = (handle) => {
      scope.add(handle);
      return handle;
    };
    let result: T;
    try {
      result = this.#within(scope, () => fn(own));
    } catch (error) {
      scope.end(new Set());
      throw error;
    }
    if (!isPromise(result)) {
      scope.end(neededBy(result));
      return result;
    }
    return this.#endLater(scope, result, settle) as T;
  }

  #within<T>(scope: Scope, task: () => T): T {
    if (this.#context) return this.#context.run(scope, task);
    const before = this.#current;
    this.#current = scope;
    try {
      return task();
    } finally {
      this.#current = before;
    }
  }

  async #endLater(
    scope: Scope,
    promise: PromiseLike<unknown>,
    settle: (tensors: readonly Tensor[]) => Promise<unknown>,
  ): Promise<unknown> {
    let kept: ReadonlySet<unknown> = new Set();
    try {
      const result = await promise;
      await this.#within(scope, () => settle(leavesOf(result).filter(isLazy)));
      kept = new Set(leavesOf(result));
      return result;
    } finally {
      scope.end(kept);
    }
  }
}

/** What follows scopes over awaits, in Node, Deno and Bun; browsers have nothing that does. */
function asyncContext(): AsyncContext | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?(name: string): unknown } };
  const hooks = process?.getBuiltinModule?.('node:async_hooks') as
    | { AsyncLocalStorage: new () => AsyncContext }
    | undefined;
  return hooks && new hooks.AsyncLocalStorage();
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined)?.then === 'function';
}

const isTensor = (value: unknown): value is Tensor => (value as Tensor | undefined)?.node?.outputs !== undefined;
const isLazy = (value: unknown): value is Tensor => isTensor(value) && !value.storage && value.isUsable;

/** A result with everything that its tensors are still to be computed from. */
function neededBy(result: unknown): ReadonlySet<unknown> {
  const needed = new Set<unknown>();
  const stack = leavesOf(result).flatMap((leaf) => {
    const { value, rows } = (leaf ?? {}) as { value?: unknown; rows?: unknown };
    return [leaf, value, rows];
  });
  while (stack.length > 0) {
    const leaf = stack.pop();
    if (leaf === undefined || leaf === null || needed.has(leaf)) continue;
    needed.add(leaf);
    if (isTensor(leaf) && !leaf.storage) stack.push(...leaf.node.inputs);
  }
  return needed;
}
