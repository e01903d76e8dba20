/** WGSL of a number as it is rounded to f32, never of the form of an integer: one beyond 64 bits does not compile. */
export function floatLiteral(value: number): string {
  const rounded = Math.fround(value);
  if (Number.isNaN(rounded)) return 'nan_value()';
  if (!Number.isFinite(rounded)) return rounded > 0 ? 'infinity_value()' : '(-infinity_value())';
  const text = String(rounded);
  return `f32(${/[.e]/.test(text) ? text : `${text}.0`})`;
}
