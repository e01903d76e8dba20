import type { ExpertMatrixLayout } from '../../models/decoder/layout.ts';

/**
 * A matrix of every expert under the feed-forward `name`, of which the files have a tensor each.
 * @param purpose what it is called here: `gate_proj`, `up_proj`, `down_proj`
 * @param stored what files call it, where that is something else
 */
export function expertMatrix(
  name: string,
  count: number,
  purpose: string,
  [inSize, outSize]: readonly [inSize: number, outSize: number],
  stored: string = purpose,
): ExpertMatrixLayout {
  const names = Array.from({ length: count }, (_, expert) => `${name}.experts.${expert}.${stored}.weight`);
  return { site: `${name}.experts.${purpose}`, inSize, outSize, weight: { kind: 'stacked', names } };
}
