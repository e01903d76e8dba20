import type { DecoderLayout } from '../models/decoder/layout.ts';
import { type Arrangement, pairsAsHalves } from './families/arrangement.ts';
import type { GgufFamily } from './families/gguf-family.ts';

/** Where a file has each weight of a model, by the name that Hugging Face has for it; parts by their whole names. */
export type GgufNames = ReadonlyMap<string, Arrangement>;

/** What a GGUF file calls the weights of a model, and how it has them: every name that one of this family may have. */
export function ggufWeightNames(family: GgufFamily, { layers }: DecoderLayout): GgufNames {
  const names = new Map<string, Arrangement>();
  const add = (ours: string, theirs: string, headDim?: number) => {
    const isTurned = family.pairedRows && headDim !== undefined && /\.[qk]_proj\.(?:weight|bias)$/.test(ours);
    names.set(ours, {
      parts: [{ name: theirs }],
      ...(isTurned && { rows: () => pairsAsHalves(headDim) }),
      ...(family.normsPlusOne?.test(ours) && { values: 'plus-one' as const }),
    });
  };
  const both = (ours: string, theirs: string, headDim?: number) => {
    for (const kind of ['weight', 'bias']) add(`${ours}.${kind}`, `${theirs}.${kind}`, headDim);
  };
  for (const [ours, theirs] of Object.entries(family.whole)) both(ours, theirs);
  for (const [i, layer] of layers.entries()) {
    const { part } = layer.mixer;
    const headDim = part.kind === 'attention' ? part.headDim : undefined;
    const within = `blk.${i}.`;
    for (const [ours, theirs] of Object.entries(family.layer))
      both(`${family.prefix}.${i}.${ours}`, within + theirs, headDim);
    for (const [ours, { parts, older, ...how }] of Object.entries(family.arranged?.(layer) ?? {}))
      names.set(`${family.prefix}.${i}.${ours}`, {
        ...how,
        parts: parts.map(({ name, ...rows }) => ({ name: within + name, ...rows })),
        ...(older !== undefined && { older: within + older }),
      });
  }
  return names;
}
