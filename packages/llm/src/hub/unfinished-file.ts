import type { Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { HubError } from './hub-error.ts';
import { nodeModules } from './node-modules.ts';
import type { RemoteFile } from './repository.ts';

/** A file that nobody has written to for so long is left over. */
const leftOverMs = 60_000;

/**
 * A download on its way into the cache: bytes are added at its end, and hashed as they come. It has a name of its own, so that two
 * processes never write the same file; what an earlier one left is taken over.
 */
export class UnfinishedFile {
  readonly #file: RemoteFile;
  readonly #blob: string;
  readonly #path: string;
  readonly #handle: FileHandle;
  #hash: Hash;
  #length = 0;

  private constructor(file: RemoteFile, blob: string, path: string, handle: FileHandle) {
    this.#file = file;
    this.#blob = blob;
    this.#path = path;
    this.#handle = handle;
    this.#hash = startHash(file);
  }

  /** @param blob where the finished file is to lie */
  static async open(file: RemoteFile, blob: string): Promise<UnfinishedFile> {
    const { fs, path, process } = nodeModules();
    await fs.mkdir(path.dirname(blob), { recursive: true });
    const own = nameOf(blob, process.pid);
    await takeOver(blob, own);
    const unfinished = new UnfinishedFile(file, blob, own, await fs.open(own, 'a+'));
    try {
      await unfinished.#hashWhatIsThere();
      return unfinished;
    } catch (error) {
      await unfinished.#handle.close();
      throw error;
    }
  }

  /** Bytes that are there. */
  get length(): number {
    return this.#length;
  }

  /** @throws HubError `ERR_HUB_CONTENT` for bytes beyond the size that the hub lists */
  async append(bytes: Uint8Array): Promise<void> {
    const { path, size } = this.#file;
    if (this.#length + bytes.byteLength > size)
      throw new HubError('ERR_HUB_CONTENT', `${path}: more bytes came than the ${size} that are listed`);
    for (let done = 0; done < bytes.byteLength; )
      done += (await this.#handle.write(bytes, done, bytes.byteLength - done)).bytesWritten;
    this.#hash.update(bytes);
    this.#length += bytes.byteLength;
  }

  /** Begins anew. */
  async clear(): Promise<void> {
    await this.#handle.truncate(0);
    this.#hash = startHash(this.#file);
    this.#length = 0;
  }

  /** Whether all bytes are there and are those that the hub lists. Ends the hash. */
  isRight(): boolean {
    return this.#length === this.#file.size && this.#hash.digest('hex') === this.#file.digest;
  }

  /** Puts the file, which is right, in its place. */
  async finish(): Promise<void> {
    await this.#handle.close();
    await nodeModules().fs.rename(this.#path, this.#blob);
  }

  /** Closes it; what is there is kept for another time. */
  async leave(): Promise<void> {
    await this.#handle.close();
    const { fs } = nodeModules();
    if (this.#length === 0) await fs.rm(this.#path, { force: true });
    else await fs.rename(this.#path, nameOf(this.#blob, nobody));
  }

  async #hashWhatIsThere(): Promise<void> {
    const buffer = new Uint8Array(2 ** 20);
    for (let at = 0; ; ) {
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.byteLength, at);
      if (bytesRead === 0) break;
      this.#hash.update(buffer.subarray(0, bytesRead));
      at += bytesRead;
      this.#length = at;
      if (at > this.#file.size) break;
    }
    if (this.#length > this.#file.size) await this.clear();
  }
}

/** In place of a process: who wrote to the file has left it. */
const nobody = 0;

function nameOf(blob: string, pid: number): string {
  return `${blob}.${pid}-${Math.random().toString(36).slice(2, 8)}.incomplete`;
}

/** Git hashes a header in front of a file. */
function startHash({ algorithm, size }: RemoteFile): Hash {
  const { createHash } = nodeModules().crypto;
  return algorithm === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
}

/** Renames what an earlier process left of a blob, also one of Python's, to a name of our own: only one can. */
async function takeOver(blob: string, own: string): Promise<void> {
  const { fs, path } = nodeModules();
  const folder = path.dirname(blob);
  const start = `${path.basename(blob)}.`;
  for (const name of await fs.readdir(folder)) {
    if (!name.startsWith(start) || !name.endsWith('.incomplete')) continue;
    const pid = Number(/\.(\d+)-\w+\.incomplete$/.exec(name)?.[1]);
    const file = path.join(folder, name);
    const stat = await fs.stat(file).catch(() => undefined);
    if (!stat?.isFile()) continue;
    const isLeft = Number.isNaN(pid) ? Date.now() - stat.mtimeMs > leftOverMs : !isRunning(pid);
    if (
      isLeft &&
      (await fs.rename(file, own).then(
        () => true,
        () => false,
      ))
    )
      return;
  }
}

function isRunning(pid: number): boolean {
  if (pid === nobody) return false;
  try {
    nodeModules().process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: unknown }).code === 'EPERM';
  }
}
