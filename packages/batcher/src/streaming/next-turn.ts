/**
 * Resolves in a later turn of the event loop, after timers and I/O had their chance: a loop of promises alone would keep
 * them waiting for as long as there is work.
 */
export function nextTurn(): Promise<void> {
  const { setImmediate } = globalThis as { setImmediate?: (run: () => void) => unknown };
  if (setImmediate) return new Promise((resolve) => setImmediate(resolve));
  return new Promise((resolve) => {
    // Browsers clamp nested timeouts to 4 ms, messages they deliver at once.
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
