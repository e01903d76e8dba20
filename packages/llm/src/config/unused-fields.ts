import type { JsonFields } from './json-fields.ts';
import type { Notes } from './notes.ts';

/** Fields of any configuration of Hugging Face that are read for every family, or do nothing to what a model computes. */
const general = new Set([
  'architectures',
  'model_type',
  'vocab_size',
  'bos_token_id',
  'eos_token_id',
  'pad_token_id',
  'tie_word_embeddings',
  'torch_dtype',
  'dtype',
  'transformers_version',
  '_name_or_path',
  'name_or_path',
  '_attn_implementation_autoset',
  'attn_implementation',
  'auto_map',
  'use_cache',
  'initializer_range',
  'output_attentions',
  'output_hidden_states',
  'return_dict',
  'torchscript',
  'is_decoder',
  'is_encoder_decoder',
  'id2label',
  'label2id',
  'task_specific_params',
  'problem_type',
  'tokenizer_class',
  'prefix',
  'use_bfloat16',
  'chunk_size_feed_forward',
  'hidden_dropout',
  'attention_dropout',
  'attention_probs_dropout_prob',
  'unsloth_version',
  'unsloth_fixed',
  'add_cross_attention',
  'cache_implementation',
  'pretraining_tp',
  'embd_pdrop',
  'resid_pdrop',
  'attn_pdrop',
]);

/**
 * Says which fields of a configuration nobody has read: transformers ignores them, too, but somebody wrote them. Call it when
 * everything is read.
 */
export function noteUnusedFields(config: JsonFields, family: string, notes: Notes): void {
  const unused = config.unread().filter((name) => !general.has(name));
  if (unused.length > 0)
    notes.add(`${config.file}: fields that a ${family} does not have are not used: ${unused.slice(0, 20).join(', ')}`);
}
