import { ArgumentError } from '@heddle/tensor';

/** A file of the page, as a browser takes it. */
export interface PageFile {
  readonly type: string;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** Files by path: '' is the page itself. */
export type PageFiles = ReadonlyMap<string, PageFile>;

const scripts = ['client.js', 'conversations.js', 'live.js', 'markdown.js', 'page.js', 'settings.js', 'turns.js'];

/**
 * The chat page, for `createServer(models, { page })`: read from the files of this package, so for runtimes that have them.
 * @throws ArgumentError without Node's file system
 * @example createServer(models, { page: await readPage() })
 */
export async function readPage(): Promise<PageFiles> {
  const { process } = globalThis;
  const fs = process?.getBuiltinModule?.('node:fs/promises');
  const modules = process?.getBuiltinModule?.('node:module');
  if (!fs || !modules) throw new ArgumentError('readPage: takes the files of Node, which are not there');
  const folder = new URL('../../page/', import.meta.url);
  const read = async (file: URL | string, type: string): Promise<PageFile> => ({
    type: `${type}; charset=utf-8`,
    body: Uint8Array.from(await fs.readFile(file)),
  });
  const javascript = 'text/javascript';
  const files = new Map<string, PageFile>([
    ['', await read(new URL('index.html', folder), 'text/html')],
    ['page/page.css', await read(new URL('page.css', folder), 'text/css')],
    ['page/marked.js', await read(modules.createRequire(import.meta.url).resolve('marked'), javascript)],
  ]);
  for (const name of scripts) files.set(`page/${name}`, await read(new URL(name, folder), javascript));
  return files;
}

/** The page loads nothing from elsewhere, and runs nothing that a model wrote. */
export const pageHeaders: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
};
