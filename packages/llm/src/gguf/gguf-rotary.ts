import { FileFormatError } from '@heddle/tensor';
import type { GgufKeys } from './families/gguf-family.ts';
import type { GgufDescription } from './gguf-config.ts';
import type { GgufMetadata } from './gguf-metadata.ts';

/** Rotary scaling: by a rule that the metadata names, or by a divisor for each component that stands in a tensor. */
export async function rotaryScaling(
  file: GgufDescription,
  metadata: GgufMetadata,
  architecture: string,
  { divisors: all, number }: GgufKeys,
): Promise<object | null> {
  const key = (name: string) => `${architecture}.rope.scaling.${name}`;
  const kind = metadata.string(key('type')) ?? (metadata.has(`${architecture}.rope.scale_linear`) ? 'linear' : 'none');
  const factor = metadata.number(key('factor')) ?? metadata.number(`${architecture}.rope.scale_linear`);
  const positions = number('context_length');
  const original = metadata.number(key('original_context_length')) ?? positions;
  const attention = metadata.number(key('attn_factor'));
  const [short = all, long = all] = await Promise.all(
    ['short', 'long'].map((length) => frequencyDivisors(file, `rope_factors_${length}.weight`)),
  );
  if (short && long) {
    if (all && kind !== 'none') metadata.fail(key('type'), 'none beside rope_freqs.weight');
    const own = { rope_type: 'longrope', short_factor: short, long_factor: long };
    if (all) return { ...own, factor: 1, attention_factor: 1, original_max_position_embeddings: positions };
    return {
      ...own,
      original_max_position_embeddings: original,
      ...(attention !== undefined && { attention_factor: attention }),
    };
  }
  if (kind === 'none' || kind === '') return null;
  if (kind === 'linear') return { rope_type: 'linear', factor };
  if (kind !== 'yarn') return metadata.fail(key('type'), 'none, linear or yarn');
  const [fast, slow] = [metadata.number(key('yarn_beta_fast')), metadata.number(key('yarn_beta_slow'))];
  const yarn = {
    rope_type: 'yarn',
    factor,
    original_max_position_embeddings: original,
    ...(fast !== undefined && { beta_fast: fast }),
    ...(slow !== undefined && { beta_slow: slow }),
  };
  if (attention === undefined || factor === undefined) return yarn;
  return { ...yarn, attention_factor: attention * (factor > 1 ? 0.1 * Math.log(factor) + 1 : 1) };
}

/** The divisors of a tensor; undefined where the file does not have it. */
export async function frequencyDivisors(file: GgufDescription, name: string): Promise<readonly number[] | undefined> {
  const tensor = file.tensors.get(name);
  if (!tensor) return undefined;
  if (tensor.type !== 'F32')
    throw new FileFormatError(`gguf: ${file.label}: ${name} must be F32, got ${tensor.type}`, { code: 'ERR_WEIGHTS' });
  return [...new Float32Array((await file.read(name)).buffer)];
}
