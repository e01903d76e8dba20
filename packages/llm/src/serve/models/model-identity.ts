import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import * as fs from 'node:fs/promises';
import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';

/** SHA-256 of files that were read before, by path, size and time of change. */
type Remembered = Record<string, string>;

const memoryFile = 'identities.json';
const ofModel = /\.(safetensors|gguf|json)$/;

/**
 * What tells the files of a model from all others: SHA-256 of their contents. Reading gigabytes takes seconds, so digests are kept in the
 * folder and a file is read again when its size or its time of change is another.
 * @param source a folder, of which weights and configuration count, or a file
 */
export async function identityOfFiles(source: string, folder: string): Promise<string> {
  const remembered = await readRemembered(folder);
  const files = (await stat(source)).isDirectory()
    ? (await readdir(source))
        .filter((name) => ofModel.test(name))
        .sort()
        .map((name) => join(source, name))
    : [source];
  const all = createHash('sha256');
  let learned = false;
  for (const file of files) {
    const { size, mtimeMs, ctimeMs } = await stat(file);
    const key = `${resolve(file)}\n${size}\n${mtimeMs}\n${ctimeMs}`;
    if (!remembered[key]) {
      remembered[key] = await digestOf(file);
      learned = true;
    }
    all.update(`${basename(file)}\n${remembered[key]}\n`);
  }
  // who cannot remember reads again
  if (learned) await write(folder, memoryFile, JSON.stringify(remembered)).catch(() => {});
  return all.digest('hex');
}

/** What a secret is written with: a test may give another. */
export type SaltFiles = Pick<typeof fs, 'link' | 'mkdir' | 'readFile' | 'rm' | 'writeFile'>;

/**
 * A secret of the folder, so that nobody can tell from the name of a file what prompt it is of. It is whole or not there, whoever else
 * makes one at the same time, and where the disk is full.
 */
export async function saltOf(folder: string, files: SaltFiles = fs): Promise<string> {
  const path = join(folder, 'salt');
  const part = join(folder, `salt.${crypto.randomUUID()}.part`);
  const isThere = await files.readFile(path).then(
    () => true,
    () => false,
  );
  if (isThere) return files.readFile(path, 'utf8');
  await files.mkdir(folder, { recursive: true, mode: 0o700 });
  try {
    await files.writeFile(part, crypto.randomUUID() + crypto.randomUUID(), { flag: 'wx', mode: 0o600 });
    await files.link(part, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await files.rm(part, { force: true });
  }
  return files.readFile(path, 'utf8');
}

async function readRemembered(folder: string): Promise<Remembered> {
  try {
    const found: unknown = JSON.parse(await readFile(join(folder, memoryFile), 'utf8'));
    if (typeof found !== 'object' || found === null || Array.isArray(found)) return {};
    return Object.fromEntries(Object.entries(found).filter(([, digest]) => /^[0-9a-f]{64}$/.test(String(digest))));
  } catch {
    return {}; // one that is missing or damaged is made anew
  }
}

async function write(folder: string, name: string, text: string): Promise<void> {
  const part = join(folder, `${name}.${crypto.randomUUID()}.part`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(part, text, { flag: 'wx', mode: 0o600 });
  await rename(part, join(folder, name));
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
