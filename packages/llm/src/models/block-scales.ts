import { type BlockFormat, blockSizes, FileFormatError } from '@heddle/tensor';

/** Where the f16 scales of a format's blocks lie: a damaged one would make every result NaN. Those of mxfp4 are powers of two. */
const scales: Readonly<Record<BlockFormat, readonly number[]>> = {
  q8_0: [0],
  q4_0: [0],
  mxfp4: [],
  q4_k: [0, 2],
  q5_k: [0, 2],
  q6_k: [208],
};

/** @throws FileFormatError `ERR_WEIGHTS` for a scale that is not finite */
export function checkScales(label: string, format: BlockFormat, bytes: Uint8Array): void {
  const { bytes: size } = blockSizes[format];
  for (const place of scales[format])
    for (let at = place; at < bytes.length; at += size)
      if ((bytes[at + 1]! & 0x7c) === 0x7c)
        throw new FileFormatError(`weights: ${label}: block ${Math.floor(at / size)} has a scale that is not finite`, {
          code: 'ERR_WEIGHTS',
        });
}
