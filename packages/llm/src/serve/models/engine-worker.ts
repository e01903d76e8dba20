import { isHeddleError } from '@heddle/tensor';
import { type EmbeddingModel, openEmbeddingModel } from '../../embedding/embedding-model.ts';
import { openRankingModel, type RankingModel } from '../../embedding/ranking-model.ts';
import type { OpenedTextModel } from '../../text/text-model.ts';
import { faultOf } from '../fault.ts';
import { localEmbeddingModel, localRankingModel } from './local-embedding.ts';
import { localModel } from './local-model.ts';
import { openServedText } from './open-served-text.ts';
import { embedWith, rankWith } from './served-calls.ts';
import type { ServedModel, ServedPart } from './served-model.ts';
import type { FromWorker, ToWorker, WorkerStart } from './worker-messages.ts';

// A process that holds a model and computes: requests come in, parts of answers go out, as many at once as there are.

const post = (message: FromWorker, sent?: () => void) => void process.send!(message, sent ?? (() => {}));

interface Opened {
  readonly model: ServedModel;
  readonly opened: OpenedTextModel | EmbeddingModel | RankingModel;
}

async function open({ source, options }: WorkerStart): Promise<Opened> {
  const { kind = 'text', device, dtype, activations } = options;
  const loading = { ...(device && { device }), ...(dtype && { dtype }), ...(activations && { activations }) };
  if (kind === 'text') {
    const opened = await openServedText(source, options, (note) => post({ kind: 'note', note }));
    return { opened, model: localModel('', opened) };
  }
  if (kind === 'embedding') {
    const opened = await openEmbeddingModel(source, loading);
    return { opened, model: localEmbeddingModel('', opened) };
  }
  const opened = await openRankingModel(source, loading);
  return { opened, model: localRankingModel('', opened) };
}

// the server says when to end: signals to a group of processes are its own. Without it there is nothing to do
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('disconnect', () => process.exit());
const start = await new Promise<WorkerStart>((resolve) => void process.once('message', resolve));
const { opened, model } = await open(start).catch((error: unknown) => {
  const { message, code } =
    error instanceof Error
      ? (error as Error & { readonly code?: unknown })
      : { message: String(error), code: undefined };
  // brands of errors do not cross
  const ours = isHeddleError(error) && typeof code === 'string' ? { code } : {};
  post({ kind: 'failed', error, message, ...ours }, () => process.exit(1));
  return new Promise<never>(() => {});
});
const running = new Map<number, AbortController>();

/** Parts of one turn, of all requests, go out in one message: under load messages are what costs most. */
const waiting = new Map<number, ServedPart[]>();
function flush(): void {
  if (waiting.size > 0) post({ kind: 'parts', of: [...waiting] });
  waiting.clear();
}
function send(id: number, part: ServedPart): void {
  if (waiting.size === 0) setImmediate(flush);
  const parts = waiting.get(id);
  if (parts) parts.push(part);
  else waiting.set(id, [part]);
}

async function generate({ id, request }: Extract<ToWorker, { kind: 'generate' }>): Promise<void> {
  const controller = new AbortController();
  running.set(id, controller);
  try {
    for await (const part of model.generate(request, controller.signal)) send(id, part);
    flush();
    post({ kind: 'end', id });
  } catch (error) {
    flush();
    fail(id, error);
  } finally {
    running.delete(id);
  }
}

function fail(id: number, error: unknown): void {
  post({ kind: 'fault', id, fault: faultOf(error), error: String(error).split('\n')[0]!.slice(0, 300) });
}

type Value = Extract<FromWorker, { kind: 'value' }>['value'];

async function value(id: number, of: (signal: AbortSignal) => Promise<Value>): Promise<void> {
  const controller = new AbortController();
  running.set(id, controller);
  try {
    post({ kind: 'value', id, value: await of(controller.signal) });
  } catch (error) {
    fail(id, error);
  } finally {
    running.delete(id);
  }
}

process.on('message', (message: ToWorker) => {
  switch (message.kind) {
    case 'generate':
      return void generate(message);
    case 'abort':
      return running.get(message.id)?.abort(new Error('aborted'));
    case 'tokens':
      return void value(message.id, () => model.tokens(message.of));
    case 'text':
      return void value(message.id, () => model.text(message.tokens));
    case 'embed':
      return void value(message.id, (signal) => embedWith(model, message.request, signal));
    case 'rank':
      return void value(message.id, (signal) => rankWith(model, message.request, signal));
    case 'stats':
      return void value(message.id, () => model.stats());
    case 'stop':
      opened.dispose().finally(() => process.disconnect());
  }
});
post({
  kind: 'ready',
  maxSequenceTokens: model.maxSequenceTokens,
  notes: opened.model.deviations,
  memoryBytes: opened.model.device.memory().live,
});
