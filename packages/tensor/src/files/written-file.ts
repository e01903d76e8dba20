import { FileFormatError } from '../checks/errors.ts';
import { fileError, nodeFiles } from './node-files.ts';

/** Bytes in the order of a file, made as they are asked for. */
export type Chunks = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/**
 * Writes a file as a whole or not at all: beside its place first, and to its place when everything is on the disk.
 * @throws FileFormatError `ERR_FILE_ACCESS`, `ERR_FILE_NOT_FOUND` where its folder is not there; what was there before stays
 */
export async function writeWhole(operation: string, path: string, chunks: Chunks): Promise<void> {
  const files = nodeFiles();
  const partial = `${path}.${Math.random().toString(36).slice(2, 10)}.part`;
  const failed = (cause: unknown): never => {
    const { code, message } = cause as { code?: unknown; message?: string };
    if (code === 'ENOENT') throw fileError(operation, path, cause);
    throw new FileFormatError(`${operation}: cannot write ${path}: ${message}`, { code: 'ERR_FILE_ACCESS', cause });
  };
  const file = await files.open(partial, 'w').catch(failed);
  try {
    try {
      let position = 0;
      for await (const chunk of chunks)
        for (let done = 0; done < chunk.byteLength; ) {
          const step = Math.min(2 ** 30, chunk.byteLength - done);
          const { bytesWritten } = await file.write(chunk, done, step, position).catch(failed);
          done += bytesWritten;
          position += bytesWritten;
        }
      await file.sync().catch(failed);
    } finally {
      await file.close();
    }
    await files.rename(partial, path).catch(failed);
  } catch (error) {
    await files.rm(partial, { force: true }).catch(() => {});
    throw error;
  }
}

/** A stream that takes bytes, such as the one that a file handle of a browser gives. */
export interface ByteSink {
  getWriter(): {
    write(chunk: Uint8Array): Promise<unknown>;
    close(): Promise<unknown>;
    abort(reason?: unknown): Promise<unknown>;
  };
}

/** Writes bytes to a stream and closes it; where they fail it is aborted, which leaves a file handle's file as it was. */
export async function writeStream(sink: ByteSink, chunks: Chunks): Promise<void> {
  const writer = sink.getWriter();
  try {
    for await (const chunk of chunks) await writer.write(chunk);
  } catch (error) {
    await writer.abort(error).catch(() => {});
    throw error;
  }
  await writer.close();
}
