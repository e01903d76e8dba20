import type { JsonFields } from './json-fields.ts';
import type { Notes } from './notes.ts';

/** How a model's authors suggest to generate with it; absent where they say nothing. */
export interface GenerationDefaults {
  /** Whether to sample; otherwise greedy. */
  readonly sample: boolean;
  readonly temperature: number | undefined;
  readonly topK: number | undefined;
  readonly topP: number | undefined;
  readonly minP: number | undefined;
  readonly typicalP: number | undefined;
  readonly epsilonCutoff: number | undefined;
  readonly etaCutoff: number | undefined;
  /** Divides positive logits of tokens that have occurred, and multiplies negative ones. */
  readonly repetitionPenalty: number | undefined;
  /** No sequence of so many tokens occurs twice. */
  readonly noRepeatNgramSize: number | undefined;
  /** Most tokens to generate. */
  readonly maxNewTokens: number | undefined;
  /** Most tokens in all, with the prompt; where `maxNewTokens` is there it does not count. */
  readonly maxLength: number | undefined;
}

/** Values with which a setting that is not applied changes nothing. Settings: transformers' GenerationConfig. */
const neutral: Readonly<Record<string, readonly unknown[]>> = {
  top_h: [],
  num_beams: [1],
  num_beam_groups: [1],
  penalty_alpha: [0],
  length_penalty: [1],
  diversity_penalty: [0],
  encoder_repetition_penalty: [1],
  encoder_no_repeat_ngram_size: [0],
  min_length: [0],
  min_new_tokens: [0],
  max_time: [],
  bad_words_ids: [],
  force_words_ids: [],
  constraints: [],
  sequence_bias: [],
  stop_strings: [],
  suppress_tokens: [],
  begin_suppress_tokens: [],
  forced_bos_token_id: [],
  forced_eos_token_id: [],
  forced_decoder_ids: [],
  exponential_decay_length_penalty: [],
  guidance_scale: [1],
  watermarking_config: [],
  dola_layers: [],
  remove_invalid_values: [false],
  renormalize_logits: [false],
};

/** Reads the settings; one that cannot be used is left out and noted, for logits need none of them. */
export function parseGenerationDefaults(generation: JsonFields | undefined, notes: Notes): GenerationDefaults {
  const number = (name: string, expected: string, fits: (value: number) => boolean): number | undefined => {
    const value = generation?.value(name);
    if (value === undefined || (Number.isFinite(value) && fits(value as number))) return value as number | undefined;
    notes.deviate(`${generation!.file}: ${name} is left out: expected ${expected}, got ${generation!.show(name)}`);
    return undefined;
  };
  const count = (name: string, min: number) =>
    number(name, `an integer of at least ${min}`, (value) => Number.isSafeInteger(value) && value >= min);
  const cutoff = ['a number from 0 to below 1', (value: number) => value >= 0 && value < 1] as const;
  // these values switch the setting off
  const unless = (off: number, value: number | undefined) => (value === off ? undefined : value);
  if (generation) noteUnused(generation, notes);
  return {
    sample: sampleOf(generation, notes),
    temperature: number('temperature', 'a number of at least 0', (value) => value >= 0),
    topK: unless(0, count('top_k', 0)),
    topP: unless(
      1,
      number('top_p', 'a number from 0 to 1', (value) => value >= 0 && value <= 1),
    ),
    minP: unless(
      0,
      number('min_p', 'a number from 0 to 1', (value) => value >= 0 && value <= 1),
    ),
    typicalP: unless(
      1,
      number('typical_p', 'a number above 0, at most 1', (value) => value > 0 && value <= 1),
    ),
    epsilonCutoff: unless(0, number('epsilon_cutoff', ...cutoff)),
    etaCutoff: unless(0, number('eta_cutoff', ...cutoff)),
    repetitionPenalty: unless(
      1,
      number('repetition_penalty', 'a number above 0', (value) => value > 0),
    ),
    noRepeatNgramSize: unless(0, count('no_repeat_ngram_size', 0)),
    maxNewTokens: count('max_new_tokens', 1),
    maxLength: count('max_length', 1),
  };
}

function sampleOf(generation: JsonFields | undefined, notes: Notes): boolean {
  const value = generation?.value('do_sample') ?? false;
  if (typeof value === 'boolean') return value;
  notes.deviate(
    `${generation!.file}: do_sample is left out: expected true or false, got ${generation!.show('do_sample')}`,
  );
  return false;
}

function noteUnused(generation: JsonFields, notes: Notes): void {
  for (const name of generation.names()) {
    const value = generation.value(name);
    if (value === undefined || !Object.hasOwn(neutral, name) || neutral[name]!.includes(value)) continue;
    if (Array.isArray(value) && value.length === 0) continue;
    notes.deviate(`${generation.file}: ${name} ${generation.show(name)} is not applied`);
  }
  if (generation.value('do_sample') === true && !generation.has('top_k'))
    notes.deviate(`${generation.file}: without top_k all tokens are drawn from; transformers takes the 50 most likely`);
}
