import { ArgumentError, checkArguments, type Device, type Tensor } from '@heddle/tensor';
import { boundNow } from './bound-now.ts';
import { checkCache, checkSequence } from './check-parts.ts';
import { CacheFullError } from './errors.ts';
import type { KvCache, KvSequence } from './kv-cache.ts';
import { isRows, isState } from './kv-shape.ts';

/**
 * Adds rows to a sequence without a model: by layer and store of rows, each `[n, heads, width]` for n tokens, as `range` names
 * them; and where layers have states, by layer and store, the `[...shape]` after the last of the tokens. Resolves when they are written; the sequence has grown when the call returns.
 * @throws ArgumentError for stores that are missing or do not fit, CacheFullError where there is no room; nothing was added then
 */
export async function append(
  device: Device,
  cache: KvCache,
  sequence: KvSequence,
  rows: readonly Readonly<Record<string, Tensor>>[],
  states: readonly Readonly<Record<string, Tensor>>[] = [],
): Promise<void> {
  checkArguments('append', 'device', { device });
  checkCache('append', cache);
  checkSequence('append', sequence);
  checkLayers('rows', rows);
  checkLayers('states', states);
  const tokens = checkedCount(cache, rows);
  checkStates(cache, states);
  if (!sequence.reserve(tokens))
    throw new CacheFullError(
      `append: no room for ${tokens} more tokens of ${sequence.id}, which has ${sequence.length}`,
    );
  const batch = cache.batch([{ sequence, tokens, keep: 'end' }]);
  const { step, dispose } = boundNow(device, cache, batch);
  const written = device.realize(
    [],
    rows.flatMap((layer, index) => [
      ...step.write(index, layer),
      ...(tokens > 0 ? step.save(index, asSaves(states[index] ?? {})) : []),
    ]),
  );
  batch.advance();
  try {
    await written;
  } finally {
    dispose();
  }
}

function checkLayers(name: string, layers: readonly unknown[]): void {
  checkArguments('append', 'list', { [name]: layers });
  checkArguments('append', 'object', Object.fromEntries(layers.map((layer, i) => [`${name}[${i}]`, layer])));
}

/** How many tokens the rows are for. @throws ArgumentError naming the first store that does not fit */
function checkedCount(cache: KvCache, rows: readonly Readonly<Record<string, Tensor>>[]): number {
  const { layers } = cache.shape;
  if (rows.length !== layers.length)
    throw new ArgumentError(`append: takes rows of ${layers.length} layers, got ${rows.length}`);
  let tokens: number | undefined;
  for (const [index, layer] of layers.entries()) {
    const stores = Object.entries(layer).filter(([, store]) => isRows(store));
    for (const name of Object.keys(rows[index]!))
      if (!stores.some(([has]) => has === name))
        throw new ArgumentError(`append: layer ${index} has rows of ${listed(stores)}, got ${name}`);
    for (const [name, { shape }] of stores) {
      const got = rows[index]![name]?.shape;
      const first = got?.[0];
      tokens ??= typeof first === 'number' ? first : undefined;
      if (!got || String(got) !== String([tokens, ...shape]))
        throw new ArgumentError(
          `append: ${name} of layer ${index} must be [${tokens ?? 'n'}, ${shape.join(', ')}], got ${got ? `[${got.join(', ')}]` : 'nothing'}`,
        );
    }
  }
  return tokens ?? 0;
}

/** @throws ArgumentError naming the first state that is missing or does not fit */
function checkStates(cache: KvCache, states: readonly Readonly<Record<string, Tensor>>[]): void {
  const { layers } = cache.shape;
  if (states.length > layers.length)
    throw new ArgumentError(`append: takes states of ${layers.length} layers, got ${states.length}`);
  for (const [index, layer] of layers.entries()) {
    const stores = Object.entries(layer).filter(([, store]) => isState(store));
    for (const name of Object.keys(states[index] ?? {}))
      if (!stores.some(([has]) => has === name))
        throw new ArgumentError(`append: layer ${index} has states of ${listed(stores)}, got ${name}`);
    for (const [name, { shape }] of stores) {
      const got = states[index]?.[name]?.shape;
      if (String(got) !== String(shape))
        throw new ArgumentError(
          `append: the state ${name} of layer ${index} must be [${shape.join(', ')}], got ${got ? `[${got.join(', ')}]` : 'nothing'}`,
        );
    }
  }
}

const asSaves = (states: Readonly<Record<string, Tensor>>): Record<string, Tensor> =>
  Object.fromEntries(Object.entries(states).map(([name, state]) => [name, state.reshape([1, ...state.shape])]));

const listed = (stores: readonly [string, unknown][]): string => stores.map(([name]) => name).join(', ') || 'nothing';
