import { FileFormatError } from '../../../checks/errors.ts';
import { nodeFiles } from '../../../files/node-files.ts';
import type { EncodedModel, OnnxValue } from '../model.ts';

/** An exported model: `bytes` are an .onnx file. */
export interface OnnxFile extends EncodedModel {
  /** What a run takes, in order; sizes that are names may be of any size in a run. */
  readonly inputs: readonly OnnxValue[];
  /** What a run gives, in order. */
  readonly outputs: readonly OnnxValue[];
}

/** The name of the file of a model's external data: beside the model, its name with `.data` behind. */
export function dataFileOf(path: string): string {
  return `${path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1)}.data`;
}

/** Writes a model to `path`, and its external data beside it. @throws FileFormatError `ERR_FILE_ACCESS` */
export async function writeOnnxFile(path: string, { bytes, externalData }: EncodedModel): Promise<void> {
  if (externalData.length > 0) await writeParts(`${path}.data`, externalData);
  await writeParts(path, [{ offset: 0, data: bytes }]);
}

async function writeParts(
  path: string,
  parts: readonly { readonly offset: number; readonly data: Uint8Array }[],
): Promise<void> {
  const files = nodeFiles();
  try {
    const file = await files.open(path, 'w');
    try {
      for (const { offset, data } of parts)
        for (let done = 0; done < data.byteLength; ) {
          const { bytesWritten } = await file.write(data, done, data.byteLength - done, offset + done);
          done += bytesWritten;
        }
    } finally {
      await file.close();
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FileFormatError(`exportOnnx: cannot write ${path}: ${reason}`, { code: 'ERR_FILE_ACCESS', cause });
  }
}
