import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createAdaptorServer, type ServerType } from '@hono/node-server';
import { anyAddress } from '../serve/guard.ts';
import { adapterModel } from '../serve/models/adapter-model.ts';
import { standardNormalizers, withoutLines } from '../serve/models/normalizers.ts';
import { type ModelShelf, onDemand } from '../serve/models/on-demand.ts';
import { type WorkerModel, workerModel } from '../serve/models/worker-model.ts';
import { readPage } from '../serve/page.ts';
import { type HeddleServer, serverOf } from '../serve/server-of.ts';
import type { MeasuredModel } from './measure/measured-device.ts';
import type { ServeCommand, ServedSource } from './options/serve-options.ts';

/**
 * `heddle serve`: opens models in workers and answers until it is told to stop.
 * @returns 0 when all that was under way could end, 1 when some of it was aborted
 */
export async function serveCommand(command: ServeCommand, signal: AbortSignal): Promise<number> {
  const say = (entry: object) => {
    if (!command.quiet) process.stderr.write(`${JSON.stringify(entry)}\n`);
  };
  const shelf = await opened(command, signal, say);
  const { models } = shelf;
  try {
    const { keys, origins, maxRequests } = command;
    const served = models.flatMap((model, i) => [
      model,
      ...Object.keys(command.models[i]!.adapters).map((name) => adapterModel(name, model, name)),
    ]);
    const app = serverOf(served, {
      ...(command.page && { page: await readPage() }),
      normalizers: [...standardNormalizers, ...command.dropLines.map((line) => withoutLines(line.source, line))],
      keys,
      origins,
      hosts: hostsOf(command),
      ...(maxRequests !== undefined && { maxRequests }),
      log: say,
    });
    const server = await listen(app, command);
    const { port } = server.address() as { readonly port: number };
    const name = command.host.includes(':') ? `[${command.host}]` : command.host;
    const address = `http://${name}:${port}/`;
    const ids = served.map(({ id }) => id);
    process.stdout.write(
      command.json
        ? `${JSON.stringify({ models: ids, url: `${address}v1`, page: command.page ? address : null })}\n`
        : `${ids.join(', ')} at ${address}v1${command.page ? `, a page to talk to them at ${address}` : ''}\n`,
    );
    await aborted(signal);
    return await stop(app, server, command.graceSeconds);
  } finally {
    await shelf.dispose();
  }
}

/** Models that are open, or on a shelf to be opened on demand. */
async function opened(
  command: ServeCommand,
  signal: AbortSignal,
  say: (entry: object) => void,
): Promise<Pick<ModelShelf, 'models' | 'dispose'>> {
  const { memoryBytes, idleMinutes, dtype } = command;
  const devices = new Map<string, ServeCommand['device']>();
  for (const { id, kind, source } of command.models)
    devices.set(
      id,
      kind === 'text' && command.device === 'auto'
        ? await measured({ source, ...(dtype && { dtype }) }, signal)
        : command.device,
    );
  const open = (served: ServedSource) => openModel({ ...command, device: devices.get(served.id)! }, served, say);
  if (memoryBytes !== undefined || idleMinutes !== undefined) {
    const sources = command.models.map(async (served) => ({
      id: served.id,
      kind: served.kind,
      bytes: await weightBytes(served.source),
      open: () => open(served),
    }));
    return onDemand(await Promise.all(sources), {
      ...(memoryBytes !== undefined && { memoryBytes }),
      ...(idleMinutes !== undefined && { idleMs: idleMinutes * 60_000 }),
      onChange: (model, change) => say({ model, change }),
    });
  }
  const models = command.models.map(open);
  const dispose = async () => void (await Promise.all(models.map((model) => model.dispose())));
  try {
    await Promise.race([Promise.all(models.map((model) => model.opened)), aborted(signal)]);
    signal.throwIfAborted();
  } catch (error) {
    await dispose();
    throw error;
  }
  for (const model of models) for (const note of model.notes) say({ model: model.id, note });
  return { models, dispose };
}

/** Measuring loads models, which this process has no other use for. */
async function measured(model: MeasuredModel, signal: AbortSignal): Promise<ServeCommand['device']> {
  const { measuredDevice } = await import('./measure/measured-device.ts');
  return measuredDevice('auto', model, signal);
}

/** What the weights of a model take on disk; 0 where that is not known, as of a model of a hub. */
async function weightBytes(source: string): Promise<number> {
  const found = await stat(source).catch(() => undefined);
  if (!found?.isDirectory()) return found?.size ?? 0;
  const weights = (await readdir(source)).filter((name) => name.endsWith('.safetensors'));
  const sizes = await Promise.all(weights.map(async (name) => (await stat(join(source, name))).size));
  return sizes.reduce((total, size) => total + size, 0);
}

function openModel(
  command: ServeCommand,
  { id, source, kind, adapters }: ServedSource,
  say: (entry: object) => void,
): WorkerModel {
  const { device, dtype, maxSequences, maxSequenceTokens, cacheFolder, cacheFolderBytes } = command;
  return workerModel(id, source, {
    kind,
    device,
    fairShare: command.keys.length > 1,
    ...(dtype && { dtype }),
    ...(maxSequences !== undefined && { maxSequences }),
    ...(maxSequenceTokens !== undefined && { maxSequenceTokens }),
    ...(kind === 'text' && { adapters }),
    ...(kind === 'text' && cacheFolder !== undefined && { cacheFolder }),
    ...(kind === 'text' && cacheFolderBytes !== undefined && { cacheFolderBytes }),
    onNote: (note) => say({ model: id, note }),
    onRestart: (error) => say({ model: id, restarted: String(error).split('\n')[0] }),
  });
}

/**
 * Names that clients may use: of this machine for its own host; for all of its addresses those that are told, or else any where a key
 * is needed, and where none is any address, for a name may be a page's of another machine.
 */
export function hostsOf({ host, hosts, keys }: Pick<ServeCommand, 'host' | 'hosts' | 'keys'>): readonly string[] | '*' {
  const own = ['localhost', '127.0.0.1', '[::1]'];
  if (host !== '0.0.0.0' && host !== '::') return [...own, host.includes(':') ? `[${host}]` : host, ...hosts];
  if (hosts.length > 0) return [...own, ...hosts];
  return keys.length > 0 ? '*' : [...own, anyAddress];
}

function listen(app: HeddleServer, { host, port }: ServeCommand): Promise<ServerType> {
  const server = createAdaptorServer({
    fetch: app.fetch,
    serverOptions: { maxHeaderSize: 16_384, requestTimeout: 60_000, headersTimeout: 20_000, keepAliveTimeout: 5_000 },
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve(server);
    });
  });
}

/** A terminal tells the command and what started it, which tells it again. */
const sameSignalMs = 500;

/** Takes no more requests, and ends what is under way within the time that it has; another signal ends it at once. */
async function stop(app: HeddleServer, server: ServerType, graceSeconds: number): Promise<number> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const began = performance.now();
  const now = () => {
    if (performance.now() - began > sameSignalMs) void app.stop(0);
  };
  process.on('SIGINT', now);
  process.on('SIGTERM', now);
  try {
    const running = await app.stop(graceSeconds * 1000);
    if ('closeIdleConnections' in server) server.closeIdleConnections();
    const timer = setTimeout(() => 'closeAllConnections' in server && server.closeAllConnections(), 1000);
    await closed;
    clearTimeout(timer);
    return running > 0 ? 1 : 0;
  } finally {
    process.off('SIGINT', now);
    process.off('SIGTERM', now);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
