import { ArgumentError, type Device, type Tensor } from '@heddle/tensor';
import { boundNow } from './bound-now.ts';
import { CacheFullError } from './errors.ts';
import type { KvCache, KvSequence } from './kv-cache.ts';

/**
 * Adds rows to a sequence without a model: by layer and store, each `[n, heads, width]` for n tokens, as `range` names them.
 * Resolves when they are written; the sequence has grown when the call returns.
 * @throws ArgumentError for stores that are missing or do not fit, CacheFullError where there is no room; nothing was added then
 */
export function append(
  device: Device,
  cache: KvCache,
  sequence: KvSequence,
  rows: readonly Readonly<Record<string, Tensor>>[],
): Promise<void> {
  const tokens = checkedCount(cache, rows);
  if (!sequence.reserve(tokens))
    throw new CacheFullError(
      `append: no room for ${tokens} more tokens of ${sequence.id}, which has ${sequence.length}`,
    );
  const batch = cache.batch([{ sequence, tokens }]);
  const { step, dispose } = boundNow(device, cache, batch);
  const written = device.realize(
    [],
    rows.flatMap((layer, index) => step.write(index, layer)),
  );
  batch.advance();
  return written.finally(dispose);
}

/** How many tokens the rows are for. @throws ArgumentError naming the first store that does not fit */
function checkedCount(cache: KvCache, rows: readonly Readonly<Record<string, Tensor>>[]): number {
  const { layers } = cache.shape;
  if (rows.length !== layers.length)
    throw new ArgumentError(`append: takes rows of ${layers.length} layers, got ${rows.length}`);
  let tokens: number | undefined;
  for (const [index, layer] of layers.entries()) {
    for (const name of Object.keys(rows[index]!))
      if (!layer[name]) throw new ArgumentError(`append: layer ${index} has ${Object.keys(layer)}, got ${name}`);
    for (const [name, { shape }] of Object.entries(layer)) {
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
