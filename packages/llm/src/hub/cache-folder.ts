import { HubError } from './hub-error.ts';
import { type HubId, isPlainPath } from './hub-id.ts';
import { nodeModules } from './node-modules.ts';

/**
 * What one model has in the cache, in the layout that Python's `huggingface_hub` keeps: `blobs` by digest, `snapshots` by commit
 * with links to blobs, `refs` by revision with the commit that it was.
 */
export class CacheFolder {
  readonly #path: string;
  readonly #label: string;

  constructor(cacheFolder: string, { name }: Pick<HubId, 'name'>) {
    this.#path = nodeModules().path.join(cacheFolder, `models--${name.replace('/', '--')}`);
    this.#label = name;
  }

  /** Where the content with a digest lies, or comes to lie. */
  blob(digest: string): string {
    return this.#inside('blobs', digest);
  }

  /** The folder of a commit: a model's folder as any other. */
  snapshot(commit: string): string {
    return this.#inside('snapshots', commit);
  }

  file(commit: string, file: string): string {
    return this.#inside('snapshots', commit, file);
  }

  /** The commit that a revision was when the cache was last told. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (/^[0-9a-f]{40}$/.test(revision)) return revision;
    const { fs } = nodeModules();
    const text = await fs.readFile(this.#inside('refs', revision), 'utf8').catch(() => undefined);
    const commit = text?.trim();
    return commit !== undefined && /^[0-9a-f]{40}$/.test(commit) ? commit : undefined;
  }

  /** Notes which commit a revision is. */
  async refer(revision: string, commit: string): Promise<void> {
    if (revision === commit) return;
    const { fs, path } = nodeModules();
    const file = this.#inside('refs', revision);
    await fs.mkdir(path.dirname(file), { recursive: true });
    const draft = `${file}.${Math.random().toString(36).slice(2, 8)}.new`;
    await fs.writeFile(draft, commit);
    await fs.rename(draft, file);
  }

  /** Makes a file of a commit the content with a digest: a link, or a copy where links may not be made. */
  async link(commit: string, file: string, digest: string): Promise<void> {
    const { fs, path } = nodeModules();
    const pointer = this.file(commit, file);
    await fs.mkdir(path.dirname(pointer), { recursive: true });
    const target = path.relative(path.dirname(pointer), this.blob(digest));
    // made beside and renamed: nobody finds it missing
    const draft = `${pointer}.${Math.random().toString(36).slice(2, 8)}.new`;
    try {
      await fs.symlink(target, draft);
    } catch (error) {
      const { code } = error as { code?: unknown };
      if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EACCES') throw error;
      await fs.copyFile(this.blob(digest), draft);
    }
    await fs.rename(draft, pointer);
  }

  /** Bytes of a file of a commit, undefined if it is not there. */
  async sizeOf(commit: string, file: string): Promise<number | undefined> {
    return fileSize(this.file(commit, file));
  }

  #inside(...parts: readonly string[]): string {
    for (const part of parts)
      if (!isPlainPath(part))
        throw new HubError('ERR_HUB_CONTENT', `${this.#label}: ${JSON.stringify(part)} would leave the cache`);
    return nodeModules().path.join(this.#path, ...parts);
  }
}

/** Bytes of a file, undefined if there is none. */
export async function fileSize(path: string): Promise<number | undefined> {
  const stat = await nodeModules()
    .fs.stat(path)
    .catch(() => undefined);
  return stat?.isFile() ? stat.size : undefined;
}
