/** The bytes of a matrix `[R, C]` as those of `[C, R]`. */
export function transposedBytes(
  bytes: Uint8Array<ArrayBuffer>,
  [rows, columns]: readonly number[],
): Uint8Array<ArrayBuffer> {
  const width = bytes.byteLength / (rows! * columns!);
  const Words = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array }[width]!;
  const [from, to] = [new Words(bytes.buffer), new Words(rows! * columns!)];
  for (let row = 0; row < rows!; row++)
    for (let column = 0; column < columns!; column++) to[column * rows! + row] = from[row * columns! + column]!;
  return new Uint8Array(to.buffer);
}
