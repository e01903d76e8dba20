import { ArgumentError, type Device, type Tensor } from '@heddle/tensor';
import { append } from '../append.ts';
import { CacheFullError } from '../errors.ts';
import type { KvCache, KvSequence } from '../kv-cache.ts';
import { isState, type KvShape } from '../kv-shape.ts';
import { readSnapshot, refuse, writeSnapshot } from './snapshot-file.ts';

/** Most tokens that are written at once. */
const chunk = 256;

/**
 * A sequence as one file: what every store holds of it, bit by bit, as the steps that were submitted before the call leave it.
 * @param options.model what tells the model, and whatever else decides keys and values (adapter, activations), from others: a
 *   snapshot is only restored for the same
 * @param options.tokens ids of its first tokens; they are known again when it is restored
 * @throws ArgumentError for a sequence of which a window has given rows back, for layers with states, and for more tokens than
 *   it has
 */
export async function takeSnapshot(
  cache: KvCache,
  sequence: KvSequence,
  { model, tokens = [] }: { readonly model: string; readonly tokens?: ArrayLike<number> },
): Promise<Uint8Array<ArrayBuffer>> {
  const { length } = sequence;
  if (typeof model !== 'string') throw new ArgumentError(`snapshot: model must be a string, got ${String(model)}`);
  checkRows('snapshot', cache.shape);
  if (tokens.length > length)
    throw new ArgumentError(`snapshot: ${sequence.id} has ${length} tokens, got ${tokens.length} ids`);
  const ids = Array.from(tokens);
  const rows = await sequence.range(0, length);
  return writeSnapshot({ model, length, tokens: ids, shape: cache.shape, rows });
}

/**
 * Opens a sequence with what a snapshot holds.
 * @throws FileFormatError `ERR_KV_SNAPSHOT` for a file that is damaged, of another version, of another model, or of layers that
 *   keep something else; CacheFullError where there is no room. Nothing is left of the sequence then
 */
export async function restoreSnapshot(
  device: Device,
  cache: KvCache,
  id: string,
  bytes: Uint8Array,
  { model, namespace }: { readonly model: string; readonly namespace?: string },
): Promise<KvSequence> {
  checkRows('restore', cache.shape);
  const content = await readSnapshot(bytes);
  if (content.model !== model) refuse(`it is of model '${content.model}', and '${model}' was asked for`);
  const [held, kept] = [describe(content.shape), describe(cache.shape)];
  if (held !== kept) refuse(`it is of layers with ${held}, and the cache keeps ${kept}`);
  if (content.length > cache.maxSequenceTokens)
    refuse(`it has ${content.length} tokens, and the cache holds ${cache.maxSequenceTokens} of a sequence`);
  const sequence = cache.sequence(id, { tokens: [], ...(namespace !== undefined && { namespace }) });
  if (typeof sequence === 'string') throw new CacheFullError(`restore: no room for another sequence, ${id}`);
  try {
    for (let start = 0; start < content.length; start += chunk) {
      const end = Math.min(content.length, start + chunk);
      const made: Tensor[] = [];
      const rows = cache.shape.layers.map((layer, index) =>
        Object.fromEntries(
          Object.entries(layer).map(([name, { shape, dtype }]) => {
            const size = shape[0] * shape[1];
            const data = content.rows[index]![name]!.slice(start * size, end * size);
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
    sequence.know(content.tokens);
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
