import type { Prelude } from '../../../graph/webgpu-lowering.ts';

/** WGSL of a number as it is rounded to f32, never of the form of an integer: one beyond 64 bits does not compile. */
export function floatLiteral(value: number, prelude: Prelude): string {
  const rounded = Math.fround(value);
  if (Number.isNaN(rounded)) return `${prelude.nan_value}()`;
  if (!Number.isFinite(rounded)) return rounded > 0 ? `${prelude.infinity_value}()` : `(-${prelude.infinity_value}())`;
  const text = String(rounded);
  return `f32(${/[.e]/.test(text) ? text : `${text}.0`})`;
}
