/**
 * Listens to signals with one listener for each, however many wait for it: runtimes take many listeners on one signal for a
 * leak and warn, and one signal for all the requests of a program is how programs shut down.
 */
export class AbortWatch {
  readonly #waiting: Map<AbortSignal, { readonly actions: Set<() => void>; readonly listener: () => void }> = new Map();

  /** Calls `action` when the signal aborts, in the order of the calls. The result lets go; idempotent. */
  watch(signal: AbortSignal, action: () => void): () => void {
    const { actions } = this.#waiting.get(signal) ?? this.#listen(signal);
    // A function of its own, so that the same action may be given twice.
    const own = () => action();
    actions.add(own);
    return () => {
      if (actions.delete(own) && actions.size === 0) this.#letGo(signal, actions);
    };
  }

  #listen(signal: AbortSignal): { readonly actions: Set<() => void> } {
    const actions = new Set<() => void>();
    const listener = () => {
      this.#letGo(signal, actions);
      runAll(actions);
    };
    this.#waiting.set(signal, { actions, listener });
    signal.addEventListener('abort', listener, { once: true });
    return { actions };
  }

  #letGo(signal: AbortSignal, actions: Set<() => void>): void {
    const entry = this.#waiting.get(signal);
    if (entry?.actions !== actions) return;
    this.#waiting.delete(signal);
    signal.removeEventListener('abort', entry.listener);
  }
}

/** Runs every action, also those after one that throws; then throws what the first threw. */
function runAll(actions: Set<() => void>): void {
  let failure: { readonly error: unknown } | undefined;
  for (const action of actions) {
    actions.delete(action);
    try {
      action();
    } catch (error) {
      failure ??= { error };
    }
  }
  if (failure) throw failure.error;
}
