/** Bytes in binary units. */
export function bytesText(bytes: number): string {
  return scaled(bytes, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB']);
}

/** Floating-point operations. */
export function flopsText(flops: number): string {
  return scaled(flops, 1000, ['FLOP', 'kFLOP', 'MFLOP', 'GFLOP', 'TFLOP', 'PFLOP', 'EFLOP']);
}

/** So many of a thing. */
export function countText(count: number, noun: string): string {
  return `${count.toLocaleString('en-US')} ${noun}${count === 1 ? '' : 's'}`;
}

function scaled(value: number, base: number, units: readonly string[]): string {
  let [scale, unit] = [value, 0];
  while (scale >= base && unit < units.length - 1) {
    scale /= base;
    unit++;
  }
  return `${unit === 0 ? scale : scale.toFixed(scale < 10 ? 2 : 1)} ${units[unit]}`;
}
