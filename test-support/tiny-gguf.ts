import { type GgufEntry, type GgufTensorEntry, writeGguf } from './gguf-writer.ts';

const [V, E, F, H, K] = [16, 8, 16, 2, 1];

/** A small Llama as a GGUF file, without a tokenizer unless `metadata` has one. */
export function tinyGguf(
  metadata: Readonly<Record<string, GgufEntry>> = {},
  tensors: Readonly<Record<string, GgufTensorEntry | undefined>> = {},
): Uint8Array<ArrayBuffer> {
  let seed = 1;
  const random = (...shape: number[]): GgufTensorEntry => {
    const size = shape.reduce((a, b) => a * b, 1);
    const data = Float32Array.from({ length: size }, (_, i) => Math.sin(seed + i * 7.13));
    seed += 31;
    return { type: 0, shape, bytes: new Uint8Array(data.buffer) };
  };
  const layer = {
    'attn_norm.weight': random(E),
    'attn_q.weight': random(E, E),
    'attn_k.weight': random((E / H) * K, E),
    'attn_v.weight': random((E / H) * K, E),
    'attn_output.weight': random(E, E),
    'ffn_norm.weight': random(E),
    'ffn_gate.weight': random(F, E),
    'ffn_up.weight': random(F, E),
    'ffn_down.weight': random(E, F),
  };
  const all: Record<string, GgufTensorEntry | undefined> = {
    'token_embd.weight': random(V, E),
    'output_norm.weight': random(E),
    ...Object.fromEntries(Object.entries(layer).map(([name, tensor]) => [`blk.0.${name}`, tensor])),
    ...tensors,
  };
  return writeGguf(
    {
      'general.architecture': ['string', 'llama'],
      'llama.block_count': ['u32', 1],
      'llama.context_length': ['u32', 32],
      'llama.embedding_length': ['u32', E],
      'llama.feed_forward_length': ['u32', F],
      'llama.attention.head_count': ['u32', H],
      'llama.attention.head_count_kv': ['u32', K],
      'llama.attention.layer_norm_rms_epsilon': ['f32', 1e-5],
      ...metadata,
    },
    Object.fromEntries(Object.entries(all).flatMap(([name, tensor]) => (tensor ? [[name, tensor]] : []))),
  );
}
