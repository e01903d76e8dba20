import { lowestScore, lowestSeenScore } from '../dense/mask-value.ts';

/** WGSL of a number as f32. */
export function f32(value: number): string {
  const text = String(Math.fround(value));
  return /[.e]/.test(text) ? `f32(${text})` : `${text}.0`;
}
export const lowest: string = f32(lowestScore);

/** WGSL of the score that a kernel goes on with: that of a key that is seen, or the lowest. NaN stays NaN. */
export const seenScore = (score: string, seen: string): string => `score_or_lowest(${score}, ${seen})`;
/** WGSL of whether a score from `seenScore` is of a key that is seen; of NaN too. */
export const isSeenScore = (score: string): string => `is_seen_score(${score})`;
/** WGSL that these and the sums of tiles need. Bits are compared: drivers take a comparison and a choice for a maximum, which loses NaN. */
export const scoreText: string = `
fn score_or_lowest(score: f32, seen: bool) -> f32 {
  let bits = bitcast<u32>(score);
  // the bits of minus infinity are those of the lowest number and one; above them is NaN, of which what is computed is never the first
  let raised = select(min(bits, ${bitsOf(lowestSeenScore)}), bits - 1u, bits >= ${bitsOf(Number.NEGATIVE_INFINITY)});
  return bitcast<f32>(select(${bitsOf(lowestScore)}, raised, seen));
}
fn is_seen_score(score: f32) -> bool {
  return bitcast<u32>(score) - ${bitsOf(lowestScore / 2)} > ${bitsOf(Number.NEGATIVE_INFINITY)} - ${bitsOf(lowestScore / 2)};
}`;

/** WGSL of the bits of a number as f32. Those of negative numbers grow with their size. */
function bitsOf(value: number): string {
  return `0x${new Uint32Array(Float32Array.of(value).buffer)[0]!.toString(16)}u`;
}

/** WGSL of `is_not_finite4`: kernels may assume that there is neither NaN nor infinity, so bits are looked at. */
export const notFiniteText = `
fn is_not_finite4(four: vec4<f32>) -> vec4<bool> {
  return (bitcast<vec4<u32>>(four) & vec4<u32>(0x7f800000u)) == vec4<u32>(0x7f800000u);
}`;
