import { FileFormatError } from '../checks/errors.ts';
import { foreignFormat } from './foreign-format.ts';

/** Element types that `.npy` files are read and written with. */
export type NpyDType = keyof typeof descriptions;

/** NumPy's names, without byte order. */
const descriptions = {
  f64: 'f8',
  f32: 'f4',
  f16: 'f2',
  i64: 'i8',
  i32: 'i4',
  i16: 'i2',
  i8: 'i1',
  u64: 'u8',
  u32: 'u4',
  u16: 'u2',
  u8: 'u1',
  bool: 'b1',
} as const;

/** The element types, in the order in which messages list them. */
export const npyDTypes: readonly NpyDType[] = Object.keys(descriptions) as NpyDType[];

/** Bytes of one element. */
export function npyItemSize(dtype: NpyDType): number {
  return Number(descriptions[dtype].slice(1));
}

export interface NpyHeader {
  readonly dtype: NpyDType;
  readonly bigEndian: boolean;
  readonly fortranOrder: boolean;
  readonly shape: readonly number[];
}

const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59] as const;
/** The file starts with the magic string, the version, and the length of the header, which is 2 or 4 bytes long. */
export const shortestPrefix = 10;
export const longestPrefix = 12;
/** A header of more is none: shapes have at most some dozen sizes. */
const maxHeaderLength = 2 ** 20;

/** What goes wrong in a header. */
export function headerError(
  label: string,
  rule: string,
  code = 'ERR_NPY_HEADER',
  options: { readonly cause?: unknown } = {},
): FileFormatError {
  return new FileFormatError(`npy: ${label}: ${rule}`, { ...options, code });
}

/** Where the header lies, from the first bytes of a file. @throws FileFormatError `ERR_NPY_HEADER` */
export function headerRange(label: string, prefix: Uint8Array): { readonly start: number; readonly length: number } {
  if (!magic.every((byte, i) => prefix[i] === byte)) {
    const found = foreignFormat(prefix);
    throw headerError(label, `does not start as an .npy file does${found ? `: it is ${found}` : ''}`);
  }
  const [major, minor] = [prefix[6]!, prefix[7]!];
  if (major < 1 || major > 3 || minor !== 0)
    throw headerError(label, `the version must be 1.0, 2.0 or 3.0, got ${major}.${minor}`);
  const view = new DataView(prefix.buffer, prefix.byteOffset, prefix.byteLength);
  if (major > 1 && prefix.byteLength < longestPrefix)
    throw headerError(label, 'ends before the length of its header', 'ERR_NPY_TRUNCATED');
  const length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > maxHeaderLength)
    throw headerError(label, `the header must be at most ${maxHeaderLength} bytes, got ${length}`);
  return { start: major === 1 ? shortestPrefix : longestPrefix, length };
}

/** Reads the text of a header, a Python dictionary. @throws FileFormatError `ERR_NPY_HEADER`, `ERR_NPY_DTYPE` */
export function parseHeader(label: string, text: string): NpyHeader {
  const fields = parseDictionary(label, text);
  const names = [...fields.keys()].sort().join();
  if (names !== 'descr,fortran_order,shape')
    throw headerError(label, `expected the fields descr, fortran_order and shape, got ${names || 'none'}`);
  const order = fields.get('fortran_order')!;
  if (order !== 'True' && order !== 'False')
    throw headerError(label, `fortran_order must be True or False, got ${order}`);
  const { dtype, bigEndian } = parseDescription(label, fields.get('descr')!);
  return { dtype, bigEndian, fortranOrder: order === 'True', shape: parseShape(label, fields.get('shape')!) };
}

/** The fields of a flat dictionary, by their text. */
function parseDictionary(label: string, text: string): Map<string, string> {
  const body = /^\s*\{(.*)\}\s*$/s.exec(text)?.[1];
  if (body === undefined) throw headerError(label, 'the header must be a dictionary');
  const field = /\s*(?:'(\w+)'|"(\w+)")\s*:\s*('[^']*'|"[^"]*"|\([\d\s,L]*\)|\w+|\[[^\]]*\])\s*(?:,|$)/y;
  const fields = new Map<string, string>();
  while (body.slice(field.lastIndex).trim() !== '') {
    const at = field.lastIndex;
    const found = field.exec(body);
    if (!found) throw headerError(label, `the header cannot be read at '${body.slice(at, at + 40)}'`);
    const name = found[1] ?? found[2]!;
    if (fields.has(name)) throw headerError(label, `the header has ${name} twice`);
    fields.set(name, found[3]!);
  }
  return fields;
}

function parseDescription(label: string, text: string): { readonly dtype: NpyDType; readonly bigEndian: boolean } {
  const [, order, name] = /^['"]([<>|=]?)(\w+)['"]$/.exec(text) ?? [];
  const dtype = npyDTypes.find((candidate) => descriptions[candidate] === name);
  if (dtype === undefined)
    throw headerError(
      label,
      `descr must be one of ${Object.values(descriptions).join(', ')}, got ${text}`,
      'ERR_NPY_DTYPE',
    );
  const single = npyItemSize(dtype) === 1;
  if (!single && (order === '|' || order === ''))
    throw headerError(label, `descr must say the byte order of ${name}, got ${text}`, 'ERR_NPY_DTYPE');
  return { dtype, bigEndian: order === '>' && !single };
}

function parseShape(label: string, text: string): readonly number[] {
  const body = /^\(([\d\s,L]*)\)$/.exec(text)?.[1];
  if (body === undefined) throw headerError(label, `shape must be a tuple, got ${text}`);
  if (body.trim() === '') return [];
  const parts = body.split(',').map((part) => part.trim());
  // Python writes the tuple of one value with a comma behind it
  if (parts.at(-1) === '') parts.pop();
  else if (parts.length === 1) throw headerError(label, `shape must be a tuple, got ${text}`);
  const shape = parts.map((part) => (/^\d+L?$/.test(part) ? Number.parseInt(part, 10) : Number.NaN));
  if (!shape.every(Number.isSafeInteger)) throw headerError(label, `shape must be of whole numbers, got ${text}`);
  return shape;
}

/** A header of version 1.0 with its prefix, as NumPy writes it: the data starts at a multiple of 64. */
export function encodeHeader({
  dtype,
  shape,
}: {
  readonly dtype: NpyDType;
  readonly shape: readonly number[];
}): Uint8Array {
  const order = npyItemSize(dtype) === 1 ? '|' : '<';
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const text = `{'descr': '${order}${descriptions[dtype]}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const total = Math.ceil((shortestPrefix + text.length + 1) / 64) * 64;
  const bytes = new Uint8Array(total).fill(0x20);
  bytes.set([...magic, 1, 0]);
  new DataView(bytes.buffer).setUint16(8, total - shortestPrefix, true);
  bytes.set(new TextEncoder().encode(text), shortestPrefix);
  bytes[total - 1] = 0x0a;
  return bytes;
}
