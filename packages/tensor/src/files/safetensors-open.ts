import { checkArguments } from '../checks/check-arguments.ts';
import { FileFormatError, isHeddleError } from '../checks/errors.ts';
import { type FileInput, openInput, openSource } from './byte-source.ts';
import { fileError, nodeFiles } from './node-files.ts';
import { readSafetensors, type SafetensorsFile } from './safetensors-reader.ts';
import { indexFileName, openShards, parseIndex } from './safetensors-shards.ts';

/** File name of a model in one file, as Hugging Face writes it. */
const modelFileName = 'model.safetensors';

/** An index file larger than this is no index: one of a thousand shards has some 10 MB. */
const maxIndexLength = 256 * 2 ** 20;

/**
 * Opens a safetensors file for reading by position; tensors are read one by one, never the whole file.
 *
 * A path may also name a folder: its `model.safetensors`, otherwise its `model.safetensors.index.json` with the shards that
 * it lists; and a file that is not there, but its `.index.json` beside it. The header is read and checked entirely before this returns.
 *
 * @param input A path (where there is `node:fs`), a Blob or File, bytes, or `{ byteLength, read(offset, length) }`.
 * @returns The open file; the caller closes it.
 * @throws FileFormatError `ERR_FILE_NOT_FOUND`, `ERR_FILE_ACCESS`, `ERR_SAFETENSORS_HEADER`,
 *   `ERR_SAFETENSORS_TRUNCATED`, `ERR_SAFETENSORS_INDEX`; ArgumentError if the input is none of these.
 * @see https://huggingface.co/docs/safetensors
 */
export async function openSafetensors(input: FileInput): Promise<SafetensorsFile> {
  if (typeof input !== 'string') return readSafetensors(await openInput('openSafetensors', input));
  const files = nodeFiles();
  const stat = await files.stat(input).catch(async (cause: unknown) => {
    const index = await readIndex(`${input}.index.json`);
    if (index === undefined) throw fileError('open safetensors', input, cause);
    return index;
  });
  if (typeof stat === 'string') {
    const folder = input.slice(0, Math.max(input.lastIndexOf('/'), input.lastIndexOf('\\')) + 1);
    return openShardedSafetensors(stat, (file) => `${folder}${file}`, `${input}.index.json`);
  }
  if (!stat.isDirectory()) return readSafetensors(await openSource(input));
  // one file counts before an index, which may be left over: as transformers does it
  const single = `${input}/${modelFileName}`;
  const hasSingle = await files.stat(single).then(
    () => true,
    () => false,
  );
  const index = hasSingle ? undefined : await readIndex(`${input}/${indexFileName}`);
  if (index !== undefined) {
    return openShardedSafetensors(index, (file) => `${input}/${file}`, `${input}/${indexFileName}`);
  }
  return readSafetensors(await openSource(single));
}

/**
 * Opens a sharded model from the text of its index file and something that finds a shard by its file name, such as the
 * files that a user picked in a browser.
 *
 * @param label Names the index in messages.
 * @returns One file over all shards, which owns and closes them.
 * @throws As `openSafetensors`.
 */
export async function openShardedSafetensors(
  index: string,
  shard: (file: string) => FileInput | Promise<FileInput>,
  label: string = indexFileName,
): Promise<SafetensorsFile> {
  checkArguments('openShardedSafetensors', 'text', { index, label });
  checkArguments('openShardedSafetensors', 'function', { shard });
  const weights = parseIndex(label, index);
  return openShards(label, weights, async (file) => readSafetensors(await openSource(await shard(file))));
}

/** The text of an index file, undefined if it is not there. */
async function readIndex(path: string): Promise<string | undefined> {
  const source = await openSource(path).catch((error: unknown) => {
    if (isHeddleError(error, 'ERR_FILE_NOT_FOUND')) return undefined;
    throw error;
  });
  if (!source) return undefined;
  try {
    if (source.byteLength > maxIndexLength) {
      throw new FileFormatError(
        `safetensors index: ${path}: at most ${maxIndexLength} bytes, got ${source.byteLength}`,
        {
          code: 'ERR_SAFETENSORS_INDEX',
        },
      );
    }
    return new TextDecoder().decode(await source.read(0, source.byteLength));
  } finally {
    await source.close();
  }
}
