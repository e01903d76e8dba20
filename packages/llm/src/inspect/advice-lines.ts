import type { Advice, AdviceWishes, StorageChoice } from './advice.ts';
import { bytesText, countText, flopsText } from './units.ts';

/** Dtypes from the most exact on; q4_0 is the coarsest. */
const exactness = ['f32', 'f16', 'q8_0', 'q6_k', 'q5_k', 'q4_k', 'q4_0', 'mxfp4'];

/** What the numbers say, in sentences. */
export function adviceLines(advice: Omit<Advice, 'lines'>, wishes: AdviceWishes): readonly string[] {
  return [storageLine(advice, wishes), ...attentionLines(advice, wishes), ...decodingLines(advice, wishes)];
}

/** The most exact way to store weights (f16 and below: f32 gives nothing that f16 weights do not) that fits. */
function storageLine({ storage, memory }: Omit<Advice, 'lines'>, { batch, length }: AdviceWishes): string {
  const ways = storage
    .filter(({ dtype, cacheDtype }) => dtype !== 'f32' && cacheDtype === 'f16')
    .sort((a, b) => exactness.indexOf(a.dtype) - exactness.indexOf(b.dtype));
  const room = `${bytesText(memory)}`;
  const wanted = `${countText(batch, 'sequence')} of ${length} tokens`;
  const found = ways.find(({ sequences }) => sequences >= batch);
  if (found)
    return `${room} hold ${wanted} with weights of ${found.dtype} (${bytesText(found.weightBytes)}) and an f16 cache (${bytesText(found.cacheBytesPerSequence)} a sequence): ${room} have room for ${many(found)}.`;
  const least = ways.reduce((a, b) => (needOf(b, batch) < needOf(a, batch) ? b : a));
  return `${room} do not hold ${wanted}: at least ${bytesText(needOf(least, batch))} are needed (weights of ${least.dtype}, f16 cache); at this length ${many(least)} would fit.`;
}

const needOf = ({ weightBytes, cacheBytesPerSequence }: StorageChoice, batch: number): number =>
  weightBytes + batch * cacheBytesPerSequence;

const many = ({ sequences }: { readonly sequences: number }): string =>
  Number.isFinite(sequences) ? countText(sequences, 'sequence') : 'any number of sequences';

function attentionLines({ attention }: Omit<Advice, 'lines'>, wishes: AdviceWishes): string[] {
  if (attention.length === 0) return [];
  const { dtype, cacheDtype, batch } = wishes;
  const each = attention.map(
    ({ kind, cacheBytesPerSequence, sequences }) =>
      `${kind} ${bytesText(cacheBytesPerSequence)} a sequence (${many({ sequences })})`,
  );
  const widest = attention.find(({ sequences }) => sequences >= batch);
  const verdict = widest
    ? `the most key-value heads with which ${countText(batch, 'sequence')} fit are those of ${widest.kind}`
    : `none of them holds ${countText(batch, 'sequence')}`;
  return [`With ${dtype} weights and an ${cacheDtype} cache: ${each.join(', ')}; ${verdict}.`];
}

function decodingLines({ decoding }: Omit<Advice, 'lines'>, { batch, length }: AdviceWishes): string[] {
  const { weightBytes, cacheBytes, flops, flopsPerByte, cacheRulesFrom } = decoding;
  const step = `A step of decoding (${countText(batch, 'sequence')} at ${length} tokens) reads ${bytesText(weightBytes)} of weights and ${bytesText(cacheBytes)} of cache for ${flopsText(flops)}: ${flopsPerByte.toFixed(1)} operations a byte. Devices that do more for each byte are limited by their memory, others by arithmetic.`;
  if (cacheRulesFrom === undefined) return [step];
  const rule =
    batch >= cacheRulesFrom
      ? `The cache is most of what is read (from ${countText(cacheRulesFrom, 'sequence')} on): fewer key-value heads, a shorter length or a smaller cache dtype make it faster.`
      : `The weights are most of what is read (up to ${countText(cacheRulesFrom - 1, 'sequence')}): more sequences at once cost little, and a smaller weight dtype makes it faster.`;
  return [step, rule];
}
