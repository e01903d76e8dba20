import { spawn } from 'node:child_process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));

interface Message {
  readonly id?: number | string;
  readonly method?: string;
  readonly result?: { readonly contents?: { readonly value?: string } } | null;
  readonly error?: { readonly message: string };
}

/** What an editor shows where the pointer rests: the signature, and the explanation below it. */
export interface Hover {
  readonly signature: string;
  readonly text: string;
}

/**
 * What TypeScript's language server shows of names in a program: for each `[line, name]` of `at`, where the name first stands in that
 * line (from 1). The program is a file that need not exist; what it imports is found from its place.
 */
export async function hovers(
  file: string,
  program: string,
  at: readonly (readonly [line: number, name: string])[],
): Promise<Hover[]> {
  const server = spawn(fileURLToPath(new URL('../node_modules/.bin/tsc', import.meta.url)), ['--lsp', '--stdio'], {
    cwd: root,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const waiting = new Map<number | string, { resolve(message: Message): void; reject(error: Error): void }>();
  const send = (message: object): void => {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message });
    server.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  };
  const ask = (method: string, params: object): Promise<Message> =>
    new Promise((resolve, reject) => {
      const id = `ask ${waiting.size}`;
      waiting.set(id, { resolve, reject });
      send({ id, method, params });
    });
  server.on('exit', (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`the language server ended with ${code}`));
  });
  onMessages(server.stdout, (message) => {
    const { id, method, error } = message;
    if (id === undefined) return;
    // questions of its own (what to watch, settings) have no answer here
    if (method !== undefined) send({ id, result: method === 'workspace/configuration' ? [null] : null });
    else if (error) waiting.get(id)?.reject(new Error(error.message));
    else waiting.get(id)?.resolve(message);
  });
  try {
    await ask('initialize', {
      processId: process.pid,
      rootUri: pathToFileURL(root).href,
      capabilities: { textDocument: { hover: { contentFormat: ['markdown'] } } },
    });
    send({ method: 'initialized', params: {} });
    const { href: uri } = pathToFileURL(file);
    const textDocument = { uri, languageId: 'typescript', version: 1, text: program };
    send({ method: 'textDocument/didOpen', params: { textDocument } });
    const lines = program.split('\n');
    const found: Hover[] = [];
    for (const [line, name] of at) {
      const character = new RegExp(`\\b${name}\\b`).exec(lines[line - 1] ?? '')?.index;
      if (character === undefined) throw new Error(`line ${line} has no ${name}`);
      const position = { line: line - 1, character };
      const { result } = await ask('textDocument/hover', { textDocument: { uri }, position });
      const shown = result?.contents?.value ?? '';
      const [, signature = '', text = ''] = /^```\w*\n([\s\S]*?)\n```\n?([\s\S]*)$/.exec(shown) ?? [];
      found.push({ signature, text: text.trim() });
    }
    return found;
  } finally {
    server.kill();
  }
}

/** Calls `heard` for every message of a stream. */
function onMessages(stream: NodeJS.ReadableStream, heard: (message: Message) => void): void {
  let rest = Buffer.alloc(0);
  stream.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      const end = rest.indexOf('\r\n\r\n');
      const length = Number(/content-length: *(\d+)/i.exec(rest.toString('latin1', 0, Math.max(end, 0)))?.[1]);
      if (end < 0 || rest.length < end + 4 + length) return;
      const body = rest.toString('utf8', end + 4, end + 4 + length);
      rest = rest.subarray(end + 4 + length);
      heard(JSON.parse(body) as Message);
    }
  });
}
