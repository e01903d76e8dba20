import { ArgumentError, checkArguments, checkOptions } from '@heddle/tensor';
import { TrainingError } from '../errors.ts';
import { type FileSystem, nodeFileSystem, type OpenFile, reasonOf } from '../files/node.ts';

/** Tokens that are read by position. */
export interface TokenSource {
  /** How many there are. */
  readonly length: number;
  /** Exactly `count` tokens from `start`. @throws TrainingError `ERR_DATA` for those beyond the vocabulary */
  read(start: number, count: number): Promise<Int32Array>;
  /** Lets go of the file. Idempotent. */
  close(): Promise<void>;
}

/** Options of `openTokenFile`. */
export interface TokenFileOptions {
  /** How a token is stored, little-endian; 'uint16' where not named. */
  readonly dtype?: 'uint16' | 'uint32';
  /** Where the tokens begin; 0 where not named. */
  readonly byteOffset?: number;
  /** Tokens from this number on are mistakes, and found when they are read. */
  readonly vocabularySize?: number;
}

/** Tokens in memory. @throws TrainingError `ERR_DATA` for those beyond the vocabulary, `ERR_EMPTY_DATA` */
export function tokenArray(
  tokens: ArrayLike<number>,
  options: Pick<TokenFileOptions, 'vocabularySize'> = {},
): TokenSource {
  checkArguments('tokenArray', 'numbers', { tokens });
  checkOptions('tokenArray', options, { vocabularySize: 'size?' });
  const { vocabularySize } = options;
  if (tokens.length === 0) throw new TrainingError('ERR_EMPTY_DATA', 'tokenArray: there are no tokens');
  const wrong = Array.from(tokens).findIndex((token) => !Number.isSafeInteger(token));
  if (wrong >= 0)
    throw new ArgumentError(`tokenArray: tokens must be whole numbers, got ${String(tokens[wrong])} at ${wrong}`);
  const all = Int32Array.from(tokens);
  checkTokens('tokenArray', all, 0, vocabularySize);
  return {
    length: all.length,
    read: async (start, count) => all.slice(...checkedRange('tokenArray', start, count, all.length)),
    close: async () => {},
  };
}

/**
 * Tokens of a file of unsigned numbers, such as `train.bin` of nanoGPT, read by position: never the whole file.
 * @returns owned by the caller, who closes it
 * @throws TrainingError `ERR_DATA` for a file that is missing or holds no whole number of tokens, `ERR_EMPTY_DATA`; ArgumentError
 */
export async function openTokenFile(path: string, options: TokenFileOptions = {}): Promise<TokenSource> {
  checkArguments('openTokenFile', 'text', { path });
  checkOptions('openTokenFile', options, {
    dtype: [undefined, 'uint16', 'uint32'],
    byteOffset: 'whole?',
    vocabularySize: 'size?',
  });
  const { dtype = 'uint16', byteOffset = 0, vocabularySize } = options;
  const size = dtype === 'uint16' ? 2 : 4;
  const file = await opened('openTokenFile', nodeFileSystem(), path);
  try {
    const bytes = (await file.stat()).size - byteOffset;
    if (bytes <= 0) throw new TrainingError('ERR_EMPTY_DATA', `openTokenFile: ${path} has no tokens`);
    if (bytes % size !== 0)
      throw new TrainingError(
        'ERR_DATA',
        `openTokenFile: ${path} has ${bytes} bytes, no whole number of ${dtype} tokens`,
      );
    const length = bytes / size;
    return {
      length,
      async read(start, count) {
        checkedRange(path, start, count, length);
        const raw = new Uint8Array(count * size);
        for (let at = 0; at < raw.byteLength; ) {
          const { bytesRead } = await file
            .read(raw, at, raw.byteLength - at, byteOffset + start * size + at)
            .catch((cause: unknown) => {
              throw new TrainingError('ERR_DATA', `read: ${path}: ${reasonOf(cause)}`, undefined, { cause });
            });
          if (bytesRead === 0) throw new TrainingError('ERR_DATA', `read: ${path} became shorter while it was read`);
          at += bytesRead;
        }
        const view = new DataView(raw.buffer);
        const tokens = Int32Array.from({ length: count }, (_, i) =>
          size === 2 ? view.getUint16(2 * i, true) : view.getUint32(4 * i, true),
        );
        checkTokens(`read: ${path}`, tokens, start, vocabularySize);
        return tokens;
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Opens a file for reading. @throws TrainingError `ERR_DATA` */
export async function opened(operation: string, files: FileSystem, path: string): Promise<OpenFile> {
  return files.open(path, 'r').catch((cause: unknown) => {
    throw new TrainingError('ERR_DATA', `${operation}: cannot read ${path}: ${reasonOf(cause)}`, undefined, { cause });
  });
}

/** @throws TrainingError `ERR_DATA` naming the token and its place */
function checkTokens(name: string, tokens: Int32Array, start: number, vocabularySize: number = 2 ** 31): void {
  const wrong = tokens.findIndex((token) => token < 0 || token >= vocabularySize);
  if (wrong >= 0)
    throw new TrainingError(
      'ERR_DATA',
      `${name}: there is token ${tokens[wrong]! >>> 0} at place ${start + wrong}, the vocabulary has ${vocabularySize}`,
    );
}

function checkedRange(name: string, start: number, count: number, length: number): [number, number] {
  if (
    !(Number.isSafeInteger(start) && Number.isSafeInteger(count) && start >= 0 && count >= 0 && start + count <= length)
  )
    throw new ArgumentError(`read: ${name} has ${length} tokens, asked for ${count} from ${start}`);
  return [start, start + count];
}
