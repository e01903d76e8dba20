/** What files begin with that are taken for weights most often. */
const beginnings: readonly (readonly [start: string, what: string])[] = [
  ['version ', 'a Git LFS pointer: `git lfs pull` gets the file that it stands for'],
  ['PK\x03\x04', 'a zip archive, as .npz and PyTorch’s .pt and .bin are: convert or unpack it'],
  ['\x1f\x8b', 'compressed by gzip: unpack it'],
  ['GGUF', 'a GGUF file'],
  ['\x93NUMPY', 'an .npy file'],
  ['\x89HDF', 'an HDF5 file'],
  ['\x80\x02', 'a Python pickle'],
  ['<!DOCTYPE', 'an HTML page, perhaps of a download that failed'],
  ['<!doctype', 'an HTML page, perhaps of a download that failed'],
  ['<html', 'an HTML page, perhaps of a download that failed'],
];

/** What a file is by its first bytes (8 suffice), in words that end a sentence 'it is ...'; undefined where that is not known. */
export function foreignFormat(prefix: Uint8Array): string | undefined {
  const text = String.fromCharCode(...prefix.subarray(0, 16));
  return beginnings.find(([start]) => text.length > 0 && text.startsWith(start.slice(0, text.length)))?.[1];
}
