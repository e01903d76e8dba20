// A folder with the configuration and random f16 weights of a Llama, for measuring: its text means nothing.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { f32ToF16 } from '@heddle/tensor';
import { type SafetensorsEntry, writeSafetensors } from '@heddle/tensor/safetensors';

export interface LlamaSizes {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly feedForward: number;
  readonly vocabulary: number;
  readonly positions: number;
}

/** The shape of a Llama with a billion parameters. */
export const llama1b: LlamaSizes = {
  hidden: 2048,
  layers: 16,
  heads: 32,
  keyValueHeads: 8,
  feedForward: 8192,
  vocabulary: 32_000,
  positions: 2048,
};

/** Writes the folder, a file for each layer, and returns the bytes of its weights. */
export async function writeRandomLlama(folder: string, sizes: LlamaSizes): Promise<number> {
  await mkdir(folder, { recursive: true });
  const { hidden: E, feedForward: F, heads: H, keyValueHeads: K, vocabulary: V, layers } = sizes;
  const D = E / H;
  await writeFile(
    join(folder, 'config.json'),
    JSON.stringify({
      architectures: ['LlamaForCausalLM'],
      model_type: 'llama',
      hidden_size: E,
      intermediate_size: F,
      num_attention_heads: H,
      num_key_value_heads: K,
      num_hidden_layers: layers,
      vocab_size: V,
      max_position_embeddings: sizes.positions,
      rms_norm_eps: 1e-5,
      rope_theta: 10_000,
      tie_word_embeddings: false,
      bos_token_id: 1,
      eos_token_id: 2,
    }),
  );
  const weightMap: Record<string, string> = {};
  let bytes = 0;
  const write = async (file: string, shapes: Readonly<Record<string, readonly number[]>>) => {
    const entries = Object.entries(shapes).map(([name, shape]) => [name, matrix(shape)] as const);
    for (const [name, { data }] of entries) {
      weightMap[name] = file;
      bytes += data.byteLength;
    }
    await writeFile(join(folder, file), writeSafetensors(entries));
  };
  for (let i = 0; i < layers; i++) {
    const layer = `model.layers.${i}`;
    await write(`layer-${i}.safetensors`, {
      [`${layer}.self_attn.q_proj.weight`]: [E, E],
      [`${layer}.self_attn.k_proj.weight`]: [K * D, E],
      [`${layer}.self_attn.v_proj.weight`]: [K * D, E],
      [`${layer}.self_attn.o_proj.weight`]: [E, E],
      [`${layer}.mlp.gate_proj.weight`]: [F, E],
      [`${layer}.mlp.up_proj.weight`]: [F, E],
      [`${layer}.mlp.down_proj.weight`]: [E, F],
      [`${layer}.input_layernorm.weight`]: [E],
      [`${layer}.post_attention_layernorm.weight`]: [E],
    });
  }
  await write('outside.safetensors', {
    'model.embed_tokens.weight': [V, E],
    'model.norm.weight': [E],
    'lm_head.weight': [V, E],
  });
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }));
  return bytes;
}

/** Normal values of deviation 0.02 from a table of a prime length, so that no two rows are alike; ones for a vector. */
function matrix(shape: readonly number[]): SafetensorsEntry {
  const count = shape.reduce((a, b) => a * b, 1);
  if (shape.length === 1) return { dtype: 'F16', shape, data: f32ToF16(new Float32Array(count).fill(1)) };
  const data = new Uint16Array(count);
  for (let at = 0; at < count; at += table.length) data.set(table.subarray(0, Math.min(table.length, count - at)), at);
  return { dtype: 'F16', shape, data };
}

const table = f32ToF16(
  Float32Array.from({ length: 1_000_003 }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - Math.random()));
    return 0.02 * radius * Math.cos(2 * Math.PI * Math.random());
  }),
);
