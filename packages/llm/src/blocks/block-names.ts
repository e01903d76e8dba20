/** What the weights of a model of blocks are called. Layers' names follow `layers` and the number of the layer. */
export interface BlockNames {
  readonly embedding: string;
  /** Of learned positions. */
  readonly positions: string;
  readonly layers: string;
  /** What gives queries, keys and values: a layer for each, or one for all three. */
  readonly projections:
    | { readonly query: string; readonly key: string; readonly value: string }
    | { readonly queryKeyValue: string };
  readonly attentionOutput: string;
  readonly attentionNorm: string;
  readonly feedForwardNorm: string;
  /** Of gated feed-forwards only. */
  readonly gate: string;
  readonly up: string;
  readonly down: string;
  readonly finalNorm: string;
  readonly head: string;
  /** Whether files have the weights of linear layers as `[in, out]`. */
  readonly transposed?: boolean;
}

/** Names as in Llama, and in most families after it. */
export const llamaNames: BlockNames = {
  embedding: 'model.embed_tokens',
  positions: 'model.embed_positions',
  layers: 'model.layers',
  projections: { query: 'self_attn.q_proj', key: 'self_attn.k_proj', value: 'self_attn.v_proj' },
  attentionOutput: 'self_attn.o_proj',
  attentionNorm: 'input_layernorm',
  feedForwardNorm: 'post_attention_layernorm',
  gate: 'mlp.gate_proj',
  up: 'mlp.up_proj',
  down: 'mlp.down_proj',
  finalNorm: 'model.norm',
  head: 'lm_head',
};

/** Names as in GPT-2, where one layer gives queries, keys and values. */
export const gpt2Names: BlockNames = {
  embedding: 'transformer.wte',
  positions: 'transformer.wpe',
  layers: 'transformer.h',
  projections: { queryKeyValue: 'attn.c_attn' },
  attentionOutput: 'attn.c_proj',
  attentionNorm: 'ln_1',
  feedForwardNorm: 'ln_2',
  gate: 'mlp.c_gate',
  up: 'mlp.c_fc',
  down: 'mlp.c_proj',
  finalNorm: 'transformer.ln_f',
  head: 'lm_head',
  transposed: true,
};
