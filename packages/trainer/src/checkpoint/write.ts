import type { FileSystem } from '../files/node.ts';
import { sha256 } from '../files/node.ts';
import type { FileRecord } from './format.ts';

/** Writes a file, and returns when its bytes are on the disk. */
export async function writeSynced(
  files: FileSystem,
  path: string,
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<FileRecord> {
  const file = await files.open(path, 'w');
  const hash = sha256();
  let byteLength = 0;
  try {
    for await (const piece of pieces) {
      hash.update(piece);
      byteLength += piece.byteLength;
      await writeAll(file, piece);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return { byteLength, sha256: hash.digest('hex') };
}

/** Makes the names in a folder last. Systems that cannot sync folders (Windows) keep them by themselves. */
export async function syncFolder(files: FileSystem, path: string): Promise<void> {
  try {
    const folder = await files.open(path, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (cause) {
    const { code } = cause as { readonly code?: unknown };
    if (code !== 'EPERM' && code !== 'EINVAL' && code !== 'EISDIR') throw cause;
  }
}

/** The SHA-256 and length of a file. */
export async function recordOf(files: FileSystem, path: string): Promise<FileRecord> {
  const file = await files.open(path, 'r');
  try {
    const hash = sha256();
    const piece = new Uint8Array(2 ** 22);
    let byteLength = 0;
    for (;;) {
      const { bytesRead } = await file.read(piece, 0, piece.byteLength, byteLength);
      if (bytesRead === 0) return { byteLength, sha256: hash.digest('hex') };
      hash.update(piece.subarray(0, bytesRead));
      byteLength += bytesRead;
    }
  } finally {
    await file.close();
  }
}

/** A write may take a part only. */
async function writeAll(file: { write(from: Uint8Array): Promise<unknown> }, bytes: Uint8Array): Promise<void> {
  let rest = bytes;
  while (rest.byteLength > 0) {
    const result = (await file.write(rest.subarray(0, 2 ** 30))) as { readonly bytesWritten: number };
    rest = rest.subarray(result.bytesWritten);
  }
}
