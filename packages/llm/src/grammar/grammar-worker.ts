import { GrammarService } from './grammar-service.ts';
import type { WorkerRequest } from './worker-messages.ts';

/** The end of a worker's channel, in Node and in browsers. */
interface Port {
  on?(event: 'message', listener: (message: unknown) => void): void;
  addEventListener?(event: 'message', listener: (event: { readonly data: unknown }) => void): void;
  postMessage(message: unknown, transfer: readonly ArrayBuffer[]): void;
}

const inNode = typeof process === 'object' && process.versions?.node !== undefined;
const port = (inNode
  ? process.getBuiltinModule('node:worker_threads').parentPort
  : globalThis) as unknown as Port | null;
const service = new GrammarService();

/** One answer for each request, in their order. */
function answer(request: unknown): void {
  const message = service.handle(request as WorkerRequest);
  const masks = (message.next ?? []).flatMap((next) => ('mask' in next ? [next.mask.buffer as ArrayBuffer] : []));
  port!.postMessage(message, masks);
}
if (port?.on) port.on('message', answer);
else if (port?.addEventListener) port.addEventListener('message', ({ data }) => answer(data));
