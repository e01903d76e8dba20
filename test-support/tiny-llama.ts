import type { ModelFiles } from '@heddle/llm';
import { writeSafetensors } from '@heddle/tensor/safetensors';
import { describeModel } from '../packages/llm/src/families.ts';
import { writtenTensors } from '../packages/llm/src/models/written-tensors.ts';

const config = {
  architectures: ['LlamaForCausalLM'],
  vocab_size: 16,
  hidden_size: 8,
  intermediate_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  max_position_embeddings: 32,
};

/**
 * The files of a small Llama without a tokenizer, its weights the same in every call: for tests that need no real text.
 * @param change what to do to a weight before it is written
 * @param fields of its config.json that differ; with `architectures` it is of another family
 */
export function tinyLlama(
  change: (name: string, data: Float32Array) => void = () => {},
  fields: object = {},
): ModelFiles {
  const text = JSON.stringify({ ...config, ...fields });
  const { shapes, sources } = describeModel({ label: 'config.json', text });
  const tensors = writtenTensors(shapes, sources).map(({ name, shape }, index) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const data = Float32Array.from({ length: size }, (_, i) => Math.sin(1 + index * 31 + i * 7.13));
    change(name, data);
    return [name, { dtype: 'F32', shape, data }] as const;
  });
  const files: Readonly<Record<string, Uint8Array<ArrayBuffer>>> = {
    'config.json': new TextEncoder().encode(text),
    'model.safetensors': writeSafetensors(Object.fromEntries(tensors)),
  };
  return { label: 'tiny llama', open: (name) => files[name] };
}
