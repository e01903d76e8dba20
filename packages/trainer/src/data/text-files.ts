import { calledAs, checkArguments, checkOptions } from '@heddle/tensor';
import { TrainingError } from '../errors.ts';
import { nodeFileSystem, reasonOf } from '../files/node.ts';
import { type TokenFileOptions, type TokenSource, tokenArray } from './token-source.ts';

/** A text and where it came from. */
export interface TextDocument {
  readonly path: string;
  readonly text: string;
}

/** Options of `textFiles`. */
export interface TextFilesOptions {
  /** Ends of the names of files that are taken from folders; `['.txt', '.md']` where not named. */
  readonly extensions?: readonly string[];
}

/**
 * The texts of a file, or of a folder and the folders in it, in the order of their names.
 * @throws TrainingError `ERR_DATA` for a file that cannot be read or is no UTF-8; `ERR_EMPTY_DATA` for a folder without texts
 */
export async function* textFiles(path: string, options: TextFilesOptions = {}): AsyncGenerator<TextDocument, void> {
  checkArguments('textFiles', 'text', { path });
  checkOptions('textFiles', options, { extensions: 'texts?' });
  const { extensions = ['.txt', '.md'] } = options;
  const files = nodeFileSystem();
  const unreadable = (where: string) => (cause: unknown) => {
    throw new TrainingError('ERR_DATA', `textFiles: cannot read ${where}: ${reasonOf(cause)}`, undefined, { cause });
  };
  const read = async (where: string): Promise<TextDocument> => {
    const bytes = await files.readFile(where).catch(unreadable(where));
    try {
      return { path: where, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
    } catch (cause) {
      throw new TrainingError('ERR_DATA', `textFiles: ${where} is no UTF-8 text`, undefined, { cause });
    }
  };
  async function* folder(where: string): AsyncGenerator<TextDocument, void> {
    const entries = [...(await files.readdir(where, { withFileTypes: true }).catch(unreadable(where)))];
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const inside = `${where}/${entry.name}`;
      if (entry.isDirectory()) yield* folder(inside);
      else if (entry.isFile() && extensions.some((end) => entry.name.endsWith(end))) yield read(inside);
    }
  }
  const stat = await files.stat(path).catch(unreadable(path));
  if (!stat.isDirectory()) {
    yield read(path);
    return;
  }
  let empty = true;
  for await (const document of folder(path)) {
    empty = false;
    yield document;
  }
  if (empty)
    throw new TrainingError('ERR_EMPTY_DATA', `textFiles: ${path} has no files that end in ${extensions.join(', ')}`);
}

/** Options of `encodeDocuments`. */
export interface EncodeOptions extends Pick<TokenFileOptions, 'vocabularySize'> {
  /** Put behind each document; none where not named. */
  readonly endToken?: number;
}

/** The tokens of documents, one after the other, in memory. @throws TrainingError `ERR_EMPTY_DATA`, `ERR_DATA` */
export async function encodeDocuments(
  documents: AsyncIterable<TextDocument> | Iterable<TextDocument>,
  encode: (text: string) => ArrayLike<number>,
  options: EncodeOptions = {},
): Promise<TokenSource> {
  checkArguments('encodeDocuments', 'iterable', { documents });
  checkArguments('encodeDocuments', 'function', { encode });
  checkOptions('encodeDocuments', options, { endToken: 'whole?', vocabularySize: 'size?' });
  const { endToken, vocabularySize } = options;
  const tokens: number[] = [];
  for await (const document of documents) {
    checkArguments('encodeDocuments', 'object', { document });
    const { text } = document;
    checkArguments('encodeDocuments', 'text', { 'document.text': text });
    const encoded = encode(text);
    checkArguments('encodeDocuments', 'numbers', { 'what encode gives': encoded });
    for (const token of Array.from(encoded)) tokens.push(token);
    if (endToken !== undefined) tokens.push(endToken);
  }
  return calledAs('encodeDocuments', () => tokenArray(tokens, vocabularySize === undefined ? {} : { vocabularySize }));
}
