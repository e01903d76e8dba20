import { checkArguments } from '../checks/check-arguments.ts';
import { checkOptions } from '../checks/check-options.ts';
import { describe } from '../checks/describe.ts';
import { ArgumentError } from '../checks/errors.ts';
import { nodeFiles } from './node-files.ts';
import { safetensorsChunks } from './safetensors-writer.ts';
import { shardsOf, writeShards } from './saved-shards.ts';
import { namedTensors } from './tensor-names.ts';
import { metadataOf, type SavedTensors, savedTensor } from './tensor-values.ts';
import { type ByteSink, writeStream } from './written-file.ts';

/** Where tensors are saved: a path (where there is `node:fs`), a file handle of a browser, or a stream of bytes. */
export type TensorTarget = string | { createWritable(): Promise<ByteSink> } | ByteSink;

/** How tensors are saved. */
export interface SaveTensorsOptions {
  /** Texts that go into the file beside the tensors. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** The most bytes of values in a file, by default 5 GB; more are spread over files with an index. For paths. */
  readonly maxShardBytes?: number;
}

/**
 * Saves the tensors and variables of nested arrays and plain objects as safetensors, under their paths: `blocks.0.weight`.
 *
 * Values are read one at a time, as they are in that moment. A file is written as a whole or not at all: what was at `target` stays
 * until everything is on the disk. With more than `maxShardBytes`, `weights.safetensors` becomes shards with
 * `weights.safetensors.index.json`, which `loadTensors` finds under the first name. Block formats are bytes in the file, with their
 * dtypes in its metadata. A path to a folder means `model.safetensors` in it.
 *
 * ```ts
 * await saveTensors('weights.safetensors', { blocks: [{ w, b }], head });
 * ```
 * @throws ArgumentError for what is no tree of tensors; FileFormatError where the file cannot be written
 */
export async function saveTensors(
  target: TensorTarget,
  tree: unknown,
  options: SaveTensorsOptions = {},
): Promise<void> {
  checkOptions('saveTensors', options, { metadata: 'object?', maxShardBytes: 'positive?' });
  checkTexts('saveTensors', options.metadata);
  const { metadata = {}, maxShardBytes = 5e9 } = options;
  if (typeof target === 'string') {
    const saved = savedTree('saveTensors', tree);
    return writeShards('saveTensors', await fileAt(target), shardsOf(saved, maxShardBytes), metadata);
  }
  const open = sinkOf(target);
  const saved = savedTree('saveTensors', tree);
  return writeStream(await open(), safetensorsChunks(saved, metadataOf(saved, metadata)));
}

/**
 * The bytes of the file that `saveTensors` writes, as a Blob: for a download, or to send it.
 * @throws ArgumentError for what is no tree of tensors
 */
export async function tensorsToBlob(tree: unknown, options: Pick<SaveTensorsOptions, 'metadata'> = {}): Promise<Blob> {
  checkOptions('tensorsToBlob', options, { metadata: 'object?' });
  checkTexts('tensorsToBlob', options.metadata);
  const saved = savedTree('tensorsToBlob', tree);
  const parts: Blob[] = [];
  // one Blob each: a browser may keep it on the disk
  for await (const chunk of safetensorsChunks(saved, metadataOf(saved, options.metadata ?? {})))
    parts.push(new Blob([chunk as Uint8Array<ArrayBuffer>]));
  return new Blob(parts, { type: 'application/octet-stream' });
}

function checkTexts(operation: string, metadata: Readonly<Record<string, unknown>> = {}): void {
  checkArguments(
    operation,
    'text',
    Object.fromEntries(Object.entries(metadata).map(([key, text]) => [`metadata ${key}`, text])),
  );
}

function savedTree(operation: string, tree: unknown): SavedTensors {
  return [...namedTensors(operation, tree)].map(([name, tensor]) => [name, savedTensor(operation, name, tensor)]);
}

function sinkOf(target: Exclude<TensorTarget, string>): () => Promise<ByteSink> {
  if (typeof (target as Partial<ByteSink> | undefined)?.getWriter === 'function') return async () => target as ByteSink;
  const { createWritable } = (target ?? {}) as { createWritable?(): Promise<ByteSink> };
  if (typeof createWritable === 'function') return () => createWritable.call(target);
  throw new ArgumentError(`saveTensors: takes a path, a file handle or a stream of bytes, got ${describe(target)}`);
}

/** The file that a path means. */
async function fileAt(path: string): Promise<string> {
  const isFolder = await nodeFiles()
    .stat(path)
    .then(
      (stat) => stat.isDirectory(),
      () => /[/\\]$/.test(path),
    );
  return isFolder ? `${path.replace(/[/\\]+$/, '')}/model.safetensors` : path;
}
