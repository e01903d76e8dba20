import { DisposedError, FileFormatError } from '../checks/errors.ts';
import type { SafetensorsInfo } from './safetensors-header.ts';
import { type BytePart, noTensor, type SafetensorsFile } from './safetensors-reader.ts';

/** File name of the index of a sharded model, as Hugging Face writes it. */
export const indexFileName = 'model.safetensors.index.json';

/** Tensor name to the name of the shard that holds it. */
export type WeightMap = ReadonlyMap<string, string>;

/**
 * Parses an index file.
 *
 * Shards are named by plain file names: an index that points out of its own folder is refused.
 *
 * @throws FileFormatError `ERR_SAFETENSORS_INDEX`.
 */
export function parseIndex(label: string, text: string): WeightMap {
  let index: unknown;
  try {
    index = JSON.parse(text);
  } catch (cause) {
    throw badIndex(label, 'must be JSON', cause);
  }
  const map = (index as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    throw badIndex(label, 'weight_map must be an object of tensor name to file name');
  }
  const shards = new Map<string, string>();
  for (const [name, file] of Object.entries(map)) {
    if (typeof file !== 'string' || !/^[^/\\:\0]+$/.test(file) || file === '.' || file === '..') {
      throw badIndex(label, `weight_map ${JSON.stringify(name)} must be a plain file name, got ${describe(file)}`);
    }
    shards.set(name, file);
  }
  return shards;
}

/**
 * Opens every shard of an index as one file, and checks that each shard has the tensors that the index says it has.
 * What shards hold beyond the index is not visible.
 *
 * @param openShard Opens the shard of that file name; the result is owned and closed here, also on failure.
 * @throws FileFormatError of the index or of a shard.
 */
export async function openShards(
  label: string,
  weights: WeightMap,
  openShard: (file: string) => Promise<SafetensorsFile>,
): Promise<SafetensorsFile> {
  const shards = new Map<string, SafetensorsFile>();
  try {
    for (const file of new Set(weights.values())) shards.set(file, await openShard(file));
    for (const [name, file] of weights) {
      if (!shards.get(file)!.has(name))
        throw badIndex(label, `${file} has no tensor ${name}, which the index says it has`);
    }
  } catch (error) {
    await closeAll(shards.values());
    throw error;
  }
  return new ShardedFile(label, weights, shards);
}

class ShardedFile implements SafetensorsFile {
  readonly metadata: ReadonlyMap<string, string>;
  readonly #label: string;
  readonly #home: ReadonlyMap<string, SafetensorsFile>;
  readonly #shards: readonly SafetensorsFile[];
  #closed = false;

  constructor(label: string, weights: WeightMap, shards: ReadonlyMap<string, SafetensorsFile>) {
    this.#label = label;
    this.#shards = [...shards.values()];
    this.metadata = new Map(this.#shards.flatMap((shard) => [...shard.metadata]));
    const home = new Map<string, SafetensorsFile>();
    for (const [file, shard] of shards) {
      for (const name of shard.names()) if (weights.get(name) === file) home.set(name, shard);
    }
    this.#home = home;
  }

  names(): string[] {
    return [...this.#home.keys()];
  }

  has(name: string): boolean {
    return this.#home.has(name);
  }

  info(name: string): SafetensorsInfo {
    return this.#find(name).info(name);
  }

  async read(name: string, part?: BytePart): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#closed) throw new DisposedError(`safetensors: ${this.#label}: read of ${name} after close`);
    return this.#find(name).read(name, part);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await closeAll(this.#shards);
  }

  #find(name: string): SafetensorsFile {
    const shard = this.#home.get(name);
    if (!shard) throw noTensor(this.#label, name, this.#home.keys());
    return shard;
  }
}

async function closeAll(files: Iterable<SafetensorsFile>): Promise<void> {
  await Promise.all([...files].map((file) => file.close()));
}

function describe(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : typeof value;
}

function badIndex(label: string, message: string, cause?: unknown): FileFormatError {
  const options = { code: 'ERR_SAFETENSORS_INDEX', ...(cause === undefined ? {} : { cause }) };
  return new FileFormatError(`safetensors index: ${label}: ${message}`, options);
}
