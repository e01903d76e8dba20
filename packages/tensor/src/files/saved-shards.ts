import { nodeFiles } from './node-files.ts';
import { itemSize } from './safetensors-dtype.ts';
import { parseIndex } from './safetensors-shards.ts';
import { safetensorsChunks } from './safetensors-writer.ts';
import { metadataOf, type SavedTensors } from './tensor-values.ts';
import { writeWhole } from './written-file.ts';

/** Tensors in their order, in groups of at most `maxBytes` each; a tensor that is larger has one of its own. */
export function shardsOf(saved: SavedTensors, maxBytes: number): readonly SavedTensors[] {
  const shards: SavedTensors[number][][] = [[]];
  let held = 0;
  for (const entry of saved) {
    const bytes = bytesOf(entry);
    if (held > 0 && held + bytes > maxBytes) {
      shards.push([]);
      held = 0;
    }
    shards.at(-1)!.push(entry);
    held += bytes;
  }
  return shards;
}

function bytesOf([, { dtype, shape }]: SavedTensors[number]): number {
  return shape.reduce((product, size) => product * size, itemSize(dtype));
}

/** The index beside a file whose tensors are in shards. */
const indexOf = (path: string): string => `${path}.index.json`;

/**
 * Writes one file, or shards and their index. Until the last file is in its place, what was saved there before is whole: shards
 * have names of their own, and the index says which count. @throws FileFormatError
 */
export async function writeShards(
  operation: string,
  path: string,
  shards: readonly SavedTensors[],
  metadata: Readonly<Record<string, string>>,
): Promise<void> {
  const files = nodeFiles();
  const before = await shardFiles(path);
  const folder = path.slice(0, Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
  const remove = (names: Iterable<string>) =>
    Promise.all([...names].map((name) => files.rm(`${folder}${name}`, { force: true }).catch(() => {})));
  if (shards.length === 1) {
    await writeWhole(operation, path, safetensorsChunks(shards[0]!, metadataOf(shards[0]!, metadata)));
    await files.rm(indexOf(path), { force: true }).catch(() => {});
    await remove(before);
    return;
  }
  const stem = path.slice(folder.length).replace(/\.safetensors$/, '');
  const tag = Math.random().toString(36).slice(2, 8);
  const digits = (n: number) => String(n).padStart(5, '0');
  const names = shards.map((_, i) => `${stem}-${tag}-${digits(i + 1)}-of-${digits(shards.length)}.safetensors`);
  try {
    for (const [i, shard] of shards.entries())
      await writeWhole(operation, `${folder}${names[i]}`, safetensorsChunks(shard, metadataOf(shard, metadata)));
    const entries = shards.flatMap((shard, i) => shard.map(([name]) => [name, names[i]!] as const));
    const total_size = shards.flat().reduce((sum, entry) => sum + bytesOf(entry), 0);
    const index = JSON.stringify({ metadata: { total_size }, weight_map: Object.fromEntries(entries) }, undefined, 1);
    await writeWhole(operation, indexOf(path), [new TextEncoder().encode(index)]);
  } catch (error) {
    await remove(names);
    throw error;
  }
  await files.rm(path, { force: true }).catch(() => {});
  await remove(before);
}

/** The shards that an index beside `path` names. */
async function shardFiles(path: string): Promise<ReadonlySet<string>> {
  try {
    const text = await nodeFiles().readFile(indexOf(path), 'utf8');
    return new Set(parseIndex(indexOf(path), text).values());
  } catch {
    return new Set();
  }
}
