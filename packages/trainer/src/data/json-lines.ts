import { checkArguments } from '@heddle/tensor';
import { TrainingError } from '../errors.ts';
import { nodeFileSystem, reasonOf } from '../files/node.ts';
import { opened } from './token-source.ts';

/** Who says what. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** What a line holds: a text, a prompt with its completion, or a conversation. */
export type TextExample =
  | { readonly text: string }
  | { readonly prompt: string; readonly completion: string }
  | { readonly messages: readonly ChatMessage[] };

/** The values of a file of JSON lines with their line numbers, read piece by piece. @throws TrainingError `ERR_DATA` naming the line */
export async function* jsonLines(
  path: string,
): AsyncGenerator<{ readonly line: number; readonly value: unknown }, void> {
  checkArguments('jsonLines', 'text', { path });
  yield* linesOf('jsonLines', path);
}

async function* linesOf(
  operation: string,
  path: string,
): AsyncGenerator<{ readonly line: number; readonly value: unknown }, void> {
  const file = await opened(operation, nodeFileSystem(), path);
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const piece = new Uint8Array(2 ** 20);
  let [rest, line, at] = ['', 0, 0];
  const parse = (text: string) => {
    line++;
    if (text.trim() === '') return undefined;
    try {
      return { line, value: JSON.parse(text) as unknown };
    } catch (cause) {
      throw new TrainingError('ERR_DATA', `${operation}: ${path}, line ${line}: ${reasonOf(cause)}`, undefined, {
        cause,
      });
    }
  };
  const decoded = (bytes: Uint8Array | undefined) => {
    try {
      return bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode();
    } catch (cause) {
      throw new TrainingError('ERR_DATA', `${operation}: ${path} is no UTF-8 after line ${line}`, undefined, { cause });
    }
  };
  try {
    for (;;) {
      const { bytesRead } = await file.read(piece, 0, piece.byteLength, at).catch((cause: unknown) => {
        throw new TrainingError('ERR_DATA', `${operation}: cannot read ${path}: ${reasonOf(cause)}`, undefined, {
          cause,
        });
      });
      at += bytesRead;
      rest += decoded(bytesRead > 0 ? piece.subarray(0, bytesRead) : undefined);
      const lines = rest.split('\n');
      rest = bytesRead > 0 ? lines.pop()! : '';
      for (const text of lines) {
        const parsed = parse(text);
        if (parsed) yield parsed;
      }
      if (bytesRead === 0) return;
    }
  } finally {
    await file.close();
  }
}

/**
 * The examples of a file of JSON lines: `{ text }`, `{ prompt, completion }` or `{ messages: [{ role, content }] }` a line.
 * @throws TrainingError `ERR_DATA` naming the line; `ERR_EMPTY_DATA` for a file without any
 */
export async function* readExamples(path: string): AsyncGenerator<TextExample, void> {
  checkArguments('readExamples', 'text', { path });
  let empty = true;
  for await (const { line, value } of linesOf('readExamples', path)) {
    empty = false;
    yield exampleOf(`${path}, line ${line}`, value);
  }
  if (empty) throw new TrainingError('ERR_EMPTY_DATA', `readExamples: ${path} has no examples`);
}

function exampleOf(where: string, value: unknown): TextExample {
  const { text, prompt, completion, messages } = (value ?? {}) as Record<string, unknown>;
  if (typeof text === 'string') return { text };
  if (typeof prompt === 'string' && typeof completion === 'string') return { prompt, completion };
  const isMessage = (message: unknown): message is ChatMessage => {
    const { role, content } = (message ?? {}) as Partial<ChatMessage>;
    return typeof role === 'string' && typeof content === 'string';
  };
  if (Array.isArray(messages) && messages.length > 0 && messages.every(isMessage)) return { messages };
  throw new TrainingError(
    'ERR_DATA',
    `readExamples: ${where}: takes { text }, { prompt, completion } and { messages }, got ${JSON.stringify(value)?.slice(0, 80)}`,
  );
}
