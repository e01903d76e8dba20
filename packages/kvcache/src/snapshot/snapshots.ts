import { ArgumentError, calledAs, checkArguments, checkOptions, type Device, type Tensor } from '@heddle/tensor';
import { append } from '../append.ts';
import { checkCache, checkSequence } from '../check-parts.ts';
import { CacheFullError } from '../errors.ts';
import type { HeldKv, KvCache, KvPrompt, KvSequence } from '../kv-cache.ts';
import { isState, type KvShape } from '../kv-shape.ts';
import { HeldRowsError } from './held-rows.ts';
import { readSnapshot, refuse, type SnapshotContent, writeSnapshot } from './snapshot-file.ts';

/** Most tokens that are written at once. */
const chunk = 256;

/**
 * A sequence as one file: what every store holds of it, bit by bit, as the steps that were submitted before the call leave it.
 * What a window has given back is not in it; of states it has the last.
 * @throws ArgumentError for more tokens than it has; for caches that cannot say what they hold (`held`), for layers with states,
 *   and for a sequence of which a window has given rows back
 */
export async function takeSnapshot(
  cache: KvCache,
  sequence: KvSequence,
  options: {
    /** What tells the model, and whatever else decides keys and values (adapter, activations), from others: a snapshot is only restored for the same. */
    readonly model: string;
    /** Ids of its first tokens; they are known again when it is restored. */
    readonly tokens?: ArrayLike<number>;
  },
): Promise<Uint8Array<ArrayBuffer>> {
  checkCache('takeSnapshot', cache);
  checkSequence('takeSnapshot', sequence);
  checkOptions('takeSnapshot', options, { model: 'text', tokens: 'numbers?' });
  return calledAs('takeSnapshot', async () => {
    const { model, tokens = [] } = options;
    const { length } = sequence;
    if (tokens.length > length)
      throw new ArgumentError(`takeSnapshot: ${sequence.id} has ${length} tokens, got ${tokens.length} ids`);
    const ids = Array.from(tokens);
    checkArguments('takeSnapshot', 'whole', Object.fromEntries(ids.map((id, i) => [`tokens[${i}]`, id])));
    const held = await (sequence.held?.() ?? heldRows(cache, sequence));
    return writeSnapshot({ model, length, tokens: ids, shape: cache.shape, held });
  });
}

/** The same of a cache that only gives ranges. */
async function heldRows(cache: KvCache, sequence: KvSequence): Promise<HeldKv> {
  checkRows('snapshot', cache.shape);
  const ranges = sequence.length > 0 ? [[0, sequence.length] as const] : [];
  const rows = await sequence.range(0, sequence.length);
  return rows.map((layer) => Object.fromEntries(Object.entries(layer).map(([name, data]) => [name, { ranges, data }])));
}

/**
 * Opens a sequence with what a snapshot holds.
 * @throws FileFormatError `ERR_KV_SNAPSHOT` for a file that is damaged, of another version, of another model, of layers that
 *   keep something else, or without rows that this cache reads; CacheFullError where there is no room. Nothing is left of the
 *   sequence then
 */
export async function restoreSnapshot(
  device: Device,
  cache: KvCache,
  id: string,
  bytes: Uint8Array,
  options: { readonly model: string; readonly namespace?: string },
): Promise<KvSequence> {
  checkArguments('restoreSnapshot', 'device', { device });
  checkCache('restoreSnapshot', cache);
  checkArguments('restoreSnapshot', 'bytes', { bytes });
  checkOptions('restoreSnapshot', options, { model: 'text', namespace: 'text?' });
  checkArguments('restoreSnapshot', 'text', { id });
  return calledAs('restoreSnapshot', async () => {
    const { model, namespace } = options;
    const content = await readSnapshot(bytes);
    if (content.model !== model) refuse(`it is of model '${content.model}', and '${model}' was asked for`);
    const [held, kept] = [describe(content.shape), describe(cache.shape)];
    if (held !== kept) refuse(`it is of layers with ${held}, and the cache keeps ${kept}`);
    if (content.length > cache.maxSequenceTokens)
      refuse(`it has ${content.length} tokens, and the cache holds ${cache.maxSequenceTokens} of a sequence`);
    const prompt = { tokens: [], ...(namespace !== undefined && { namespace }) };
    const sequence = await restored(device, cache, id, content, prompt);
    if (!sequence) throw new CacheFullError(`restore: no room for another sequence, ${id}`);
    try {
      sequence.know(content.tokens);
      return sequence;
    } catch (error) {
      sequence.dispose();
      throw error;
    }
  });
}

/** Undefined where there is no room. */
async function restored(
  device: Device,
  cache: KvCache,
  id: string,
  content: SnapshotContent,
  prompt: KvPrompt,
): Promise<KvSequence | undefined> {
  try {
    const opened = cache.restore?.(id, content.length, content.held, prompt);
    if (!opened) return await appended(device, cache, id, content, prompt);
    if (opened === 'full') return undefined;
    const { sequence, written } = opened;
    await written.catch((error: unknown) => {
      sequence.dispose();
      throw error;
    });
    return sequence;
  } catch (error) {
    if (error instanceof HeldRowsError) refuse(error.message, error);
    throw error;
  }
}

/** Row by row, in a cache that takes nothing else. */
async function appended(
  device: Device,
  cache: KvCache,
  id: string,
  { held, length }: SnapshotContent,
  prompt: KvPrompt,
): Promise<KvSequence | undefined> {
  checkRows('restore', cache.shape);
  for (const [index, layer] of held.entries())
    for (const [name, { ranges }] of Object.entries(layer))
      if (length > 0 && String(ranges) !== String([[0, length]]))
        refuse(`${name} of layer ${index} lacks positions that the cache keeps`);
  const sequence = cache.sequence(id, prompt);
  if (typeof sequence === 'string') return undefined;
  try {
    for (let start = 0; start < length; start += chunk) {
      const end = Math.min(length, start + chunk);
      const made: Tensor[] = [];
      const rows = cache.shape.layers.map((layer, index) =>
        Object.fromEntries(
          Object.entries(layer).map(([name, { shape, dtype }]) => {
            const size = shape[0]! * shape[1]!;
            const data = held[index]![name]!.data.slice(start * size, end * size);
            const tensor = device.tensor(data, { shape: [end - start, ...shape], dtype });
            made.push(tensor);
            return [name, tensor];
          }),
        ),
      );
      await append(device, cache, sequence, rows).finally(() => {
        for (const tensor of made) tensor.dispose();
      });
    }
    return sequence;
  } catch (error) {
    sequence.dispose();
    throw error;
  }
}

/** @throws ArgumentError where layers have states */
function checkRows(operation: string, { layers }: KvShape): void {
  for (const [index, layer] of layers.entries())
    for (const [name, store] of Object.entries(layer))
      if (isState(store)) throw new ArgumentError(`${operation}: takes rows, and ${name} of layer ${index} is a state`);
}

/** What layers keep, for people and for comparison; windows are no part of it. */
function describe({ layers }: KvShape): string {
  return layers
    .map((layer) =>
      Object.entries(layer)
        .map(([name, { shape, dtype }]) => `${name} ${dtype} [${shape}]`)
        .join(', '),
    )
    .join('; ');
}
