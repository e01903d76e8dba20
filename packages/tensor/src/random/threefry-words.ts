import { parity, rotations } from './random-bits.ts';

/** Arithmetic of 32-bit words, whatever stands for them: tensors, or expressions of a kernel. */
export interface WordArithmetic<W> {
  /** Modulo 2^32. */
  add(a: W, b: W | number): W;
  xor(a: W, b: W | number): W;
  /** Rotates to the left by 1 to 31 bits. */
  rotate(a: W, by: number): W;
}

/**
 * `threefry2x32` over words of any kind: for operations and kernels that evaluate it where they need the bits.
 * @returns Both words of the block.
 */
export function threefryWords<W>(
  { add, xor, rotate }: WordArithmetic<W>,
  [key0, key1]: readonly [W, W],
  [counter0, counter1]: readonly [W, W | number],
): [W, W] {
  const keys = [key0, key1, xor(xor(key0, key1), parity)] as const;
  let x0 = add(counter0, key0);
  let x1 = add(key1, counter1);
  for (let round = 0; round < 20; round++) {
    x0 = add(x0, x1);
    x1 = xor(rotate(x1, rotations[round % 8]!), x0);
    if (round % 4 !== 3) continue;
    const injection = (round + 1) / 4;
    x0 = add(x0, keys[injection % 3]!);
    x1 = add(add(x1, keys[(injection + 1) % 3]!), injection);
  }
  return [x0, x1];
}

/** Words as u32 expressions of WGSL; `bind` gives an expression a name. */
export function wgslWords(bind: (expression: string) => string): WordArithmetic<string> {
  const word = (b: string | number) => (typeof b === 'number' ? `${b}u` : b);
  return {
    add: (a, b) => bind(`${a} + ${word(b)}`),
    xor: (a, b) => bind(`${a} ^ ${word(b)}`),
    rotate: (a, by) => bind(`(${a} << ${by}u) | (${a} >> ${32 - by}u)`),
  };
}
