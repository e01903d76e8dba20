type Names = Readonly<Record<string, string>>;

/** Names that families share: Hugging Face's, and the file's. */
export const usual = {
  prefix: 'model.layers',
  whole: { 'model.embed_tokens': 'token_embd', 'model.norm': 'output_norm', lm_head: 'output' },
};
export const attention = {
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
};
export const gated = { 'mlp.gate_proj': 'ffn_gate', 'mlp.up_proj': 'ffn_up', 'mlp.down_proj': 'ffn_down' };
export const normsBefore = { input_layernorm: 'attn_norm', post_attention_layernorm: 'ffn_norm' };
export const headNorms = { 'self_attn.q_norm': 'attn_q_norm', 'self_attn.k_norm': 'attn_k_norm' };
export const normsAround = {
  input_layernorm: 'attn_norm',
  post_attention_layernorm: 'post_attention_norm',
  pre_feedforward_layernorm: 'ffn_norm',
  post_feedforward_layernorm: 'post_ffw_norm',
};
/** Experts under `name`, and their router. */
export const experts = (name: string, router: string): Names => ({
  [`${name}.${router}`]: 'ffn_gate_inp',
  [`${name}.experts.gate_proj`]: 'ffn_gate_exps',
  [`${name}.experts.up_proj`]: 'ffn_up_exps',
  [`${name}.experts.down_proj`]: 'ffn_down_exps',
});
/** What every row has beside its experts. */
export const sharedExpert = (name: string): Names => ({
  [`${name}.gate_proj`]: 'ffn_gate_shexp',
  [`${name}.up_proj`]: 'ffn_up_shexp',
  [`${name}.down_proj`]: 'ffn_down_shexp',
});
export const llamaNames: { readonly prefix: string; readonly whole: Names; readonly layer: Names } = {
  ...usual,
  layer: { ...normsBefore, ...attention, ...gated },
};
export const window = { 'attention.sliding_window': 'sliding_window' };
export const multipliers = {
  'attention.scale': 'attention_multiplier',
  embedding_scale: 'embedding_multiplier',
  residual_scale: 'residual_multiplier',
  logit_scale: 'logits_scaling',
};
/** What files say of layers that keep a state. */
export const stateKeys: readonly string[] = [
  'ssm.conv_kernel',
  'ssm.inner_size',
  'ssm.state_size',
  'ssm.time_step_rank',
  'ssm.group_count',
];
