"""Writes tiny checkpoints of every family, with what transformers computes for them, and adapters with what PEFT does.

Usage: python3 make_checkpoints.py FOLDER [NAME ...]

Needs torch and transformers 5; adapters need peft, and are left out without it. Weights are stored in f16 and everything is
computed in f32 of the stored values. Each FOLDER/NAME has config.json, model.safetensors and expected.safetensors:

  input_ids, logits                     two rows of tokens
  attention_mask, logits_left_padded    the first row padded on the left
  hidden_0 ... hidden_n                 before each layer, and after the final norm
  greedy_prompt, greedy_tokens          and greedy_gap: the smallest difference of the two best logits on the way
  long_input_ids, long_logits           where results depend on the length of a sequence
"""

import json
import math
import os
import sys
import traceback

import torch
import transformers
from safetensors.torch import save_file

SEED = 20261128
V, E, F, L, H, K, D = 67, 32, 40, 2, 4, 2, 8
ROW, PADDING, PROMPT, GREEDY = 12, 5, 6, 24

BASE = dict(
    vocab_size=V,
    hidden_size=E,
    intermediate_size=F,
    num_hidden_layers=L,
    num_attention_heads=H,
    num_key_value_heads=K,
    max_position_embeddings=128,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
)


def rope(kind, **settings):
    return {"rope_type": kind, "rope_theta": 10000.0, **settings}


def by_turns(*kinds, layers=L):
    return [kinds[i % len(kinds)] for i in range(layers)]


SLIDING = by_turns("sliding_attention", "full_attention")
LINEAR = by_turns("linear_attention", "full_attention")
DELTA = dict(
    linear_num_key_heads=2,
    linear_num_value_heads=4,
    linear_key_head_dim=8,
    linear_value_head_dim=12,
    linear_conv_kernel_dim=4,
    layer_types=LINEAR,
)
EXPERTS = dict(num_experts=5, num_experts_per_tok=2, moe_intermediate_size=16)
MAMBA = dict(
    layer_types=by_turns("mamba", "attention"),
    mamba_n_heads=4,
    mamba_d_head=16,
    mamba_d_state=8,
    mamba_n_groups=1,
    mamba_d_conv=4,
    mamba_expand=2,
    mamba_chunk_size=8,
    shared_intermediate_size=24,
    embedding_multiplier=2.5,
    residual_multiplier=0.6,
    attention_multiplier=0.3,
    logits_scaling=1.5,
)
GEMMA4 = dict(
    head_dim=D,
    global_head_dim=16,
    sliding_window=6,
    vocab_size_per_layer_input=V,
    num_attention_heads=H,
)

# name: class of the configuration, and what differs from BASE
FAMILIES = {
    "gpt2": ("GPT2Config", dict(vocab_size=V, n_positions=64, n_embd=E, n_layer=L, n_head=H, bos_token_id=1, eos_token_id=2)),
    "llama": ("LlamaConfig", dict(head_dim=D, rope_theta=5000.0)),
    "llama-mqa-tied": ("LlamaConfig", dict(num_key_value_heads=1, tie_word_embeddings=True, attention_bias=True, mlp_bias=True)),
    "llama3": (
        "LlamaConfig",
        dict(rope_parameters=rope("llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)),
    ),
    "llama-yarn": ("LlamaConfig", dict(rope_parameters=rope("yarn", factor=2.0, original_max_position_embeddings=32))),
    "mistral": ("MistralConfig", dict(sliding_window=6)),
    "ministral": ("Ministral3Config", dict(head_dim=D)),
    "qwen2": ("Qwen2Config", dict(tie_word_embeddings=True)),
    "qwen3": ("Qwen3Config", dict(head_dim=12)),
    "phi3": ("Phi3Config", dict(original_max_position_embeddings=128)),
    "phi3-longrope": (
        "Phi3Config",
        dict(
            original_max_position_embeddings=24,
            rope_parameters=rope(
                "longrope",
                partial_rotary_factor=1.0,
                long_factor=[1.0, 1.5, 2.5, 4.0],
                short_factor=[1.0, 1.1, 1.2, 1.3],
                original_max_position_embeddings=24,
            ),
        ),
    ),
    "gemma2": (
        "Gemma2Config",
        dict(head_dim=D, sliding_window=6, query_pre_attn_scalar=12, attn_logit_softcapping=6.0, final_logit_softcapping=5.0),
    ),
    "gemma3": ("Gemma3TextConfig", dict(head_dim=D, sliding_window=6, layer_types=SLIDING, query_pre_attn_scalar=12)),
    "gemma4": (
        "Gemma4TextConfig",
        dict(
            **GEMMA4,
            num_hidden_layers=4,
            layer_types=by_turns("sliding_attention", "full_attention", layers=4),
            num_kv_shared_layers=2,
            hidden_size_per_layer_input=4,
            final_logit_softcapping=8.0,
        ),
    ),
    "gemma4-shared": (
        "Gemma4TextConfig",
        dict(**GEMMA4, num_global_key_value_heads=1, attention_k_eq_v=True, layer_types=SLIDING, hidden_size_per_layer_input=0),
    ),
    "smollm3": ("SmolLM3Config", dict(no_rope_layers=[1, 0], use_sliding_window=False)),
    "olmo2": ("Olmo2Config", dict()),
    "olmo3": ("Olmo3Config", dict(sliding_window=6, layer_types=SLIDING)),
    "granite": (
        "GraniteConfig",
        dict(embedding_multiplier=3.0, attention_multiplier=0.2, residual_multiplier=0.7, logits_scaling=2.0),
    ),
    "granite4": ("GraniteMoeHybridConfig", dict(**MAMBA, num_local_experts=0, num_experts_per_tok=0)),
    "granite4-experts": ("GraniteMoeHybridConfig", dict(**MAMBA, num_local_experts=5, num_experts_per_tok=2, intermediate_size=16)),
    "lfm2": (
        "Lfm2Config",
        dict(conv_L_cache=3, layer_types=by_turns("conv", "full_attention"), block_multiple_of=8, block_ffn_dim_multiplier=1.0),
    ),
    "qwen3_5": ("Qwen3_5TextConfig", dict(head_dim=D, **DELTA)),
    "qwen3-next": (
        "Qwen3NextConfig",
        dict(head_dim=D, **DELTA, **EXPERTS, shared_expert_intermediate_size=16, decoder_sparse_step=1, mlp_only_layers=[]),
    ),
    "mixtral": ("MixtralConfig", dict(num_local_experts=5, num_experts_per_tok=2, sliding_window=None)),
    "qwen3-moe": ("Qwen3MoeConfig", dict(head_dim=D, **EXPERTS, decoder_sparse_step=1, mlp_only_layers=[0], norm_topk_prob=True)),
    "gpt-oss": (
        "GptOssConfig",
        dict(head_dim=D, num_local_experts=5, num_experts_per_tok=2, sliding_window=6, layer_types=SLIDING),
    ),
    "deepseek-v3": (
        "DeepseekV3Config",
        dict(
            num_key_value_heads=H,
            q_lora_rank=12,
            kv_lora_rank=8,
            qk_rope_head_dim=4,
            qk_nope_head_dim=8,
            v_head_dim=6,
            n_routed_experts=6,
            num_experts_per_tok=2,
            n_group=3,
            topk_group=2,
            first_k_dense_replace=1,
            moe_intermediate_size=16,
            n_shared_experts=1,
            routed_scaling_factor=1.25,
        ),
    ),
    # families that are not built in: for whoever adds one
    "cohere2": ("Cohere2Config", dict(sliding_window=6, layer_types=SLIDING, logit_scale=0.5)),
    "glm4": ("Glm4Config", dict(head_dim=D, partial_rotary_factor=0.5, attention_bias=True)),
}


def deviation(name, parameter):
    """How far the random values of a matrix spread: what it gives is about as large as what it takes."""
    if "embed" in name or "wte" in name or "wpe" in name:
        return 0.4
    stored_in_out = "c_attn" in name or "c_proj" in name or "c_fc" in name
    packed_experts = parameter.dim() == 3 and "gate_up_proj_bias" not in name and parameter.shape[-1] != 1
    fan_in = parameter.shape[0] if stored_in_out else parameter.shape[-1]
    if packed_experts and "conv" not in name:
        fan_in = max(parameter.shape[-2:])
    return 1.0 / math.sqrt(fan_in)


def randomize(model, generator):
    stored = set(model.state_dict())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            is_matrix = parameter.dim() >= 2 and not name.endswith("bias")
            parameter.copy_(noise * deviation(name, parameter) if is_matrix else torch.nan_to_num(parameter) + 0.1 * noise)
        for name, buffer in model.named_buffers():
            if name in stored and buffer.is_floating_point():
                buffer.add_(0.1 * torch.randn(buffer.shape, generator=generator))
        model.tie_weights()
        for value in (*model.parameters(), *(b for n, b in model.named_buffers() if n in stored and b.is_floating_point())):
            value.copy_(value.half().float())


def results(model, name, generator):
    def tokens(rows, length):
        return torch.randint(3, V, (rows, length), generator=generator)

    ids = tokens(2, ROW)
    mask = torch.ones_like(ids)
    mask[0, :PADDING] = 0
    out = model(ids, output_hidden_states=True, use_cache=False)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    padded = model(ids, attention_mask=mask, position_ids=positions, use_cache=False)
    found = {
        "input_ids": ids.int(),
        "logits": out.logits,
        "attention_mask": mask.int(),
        "logits_left_padded": padded.logits,
    }
    for i, states in enumerate(out.hidden_states):
        found[f"hidden_{i}"] = states
    stream, gap = ids[:1, :PROMPT], math.inf
    for _ in range(GREEDY):
        best = model(stream, use_cache=False).logits[0, -1].topk(2)
        gap = min(gap, float(best.values[0] - best.values[1]))
        stream = torch.cat([stream, best.indices[:1].view(1, 1)], 1)
    found["greedy_prompt"] = stream[0, :PROMPT].int()
    found["greedy_tokens"] = stream[0, PROMPT:].int()
    found["greedy_gap"] = torch.tensor([gap])
    if "longrope" in name:
        long = tokens(1, 40)
        found["long_input_ids"] = long.int()
        found["long_logits"] = model(long, use_cache=False).logits
    return {key: value.detach().contiguous().clone() for key, value in found.items()}


def build(name):
    kind, settings = FAMILIES[name]
    config = getattr(transformers, kind)(**(settings if name == "gpt2" else {**BASE, **settings}))
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    torch.manual_seed(SEED)
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    randomize(model, torch.Generator().manual_seed(SEED + sorted(FAMILIES).index(name)))
    return model


def checkpoint(folder, name):
    model = build(name)
    with torch.no_grad():
        expected = results(model, name, torch.Generator().manual_seed(SEED))
    model.half().save_pretrained(folder)
    save_file(expected, f"{folder}/expected.safetensors")
    generation = f"{folder}/generation_config.json"
    if os.path.exists(generation):
        os.remove(generation)
    size = sum(os.path.getsize(f"{folder}/{file}") for file in os.listdir(folder))
    print(name, size, "bytes, gap", float(expected["greedy_gap"]), flush=True)


# name: settings of PEFT
ADAPTERS = {
    "plain": dict(r=3, lora_alpha=6, target_modules=["q_proj", "v_proj", "down_proj"]),
    "wide": dict(
        r=5,
        lora_alpha=4,
        use_rslora=True,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"],
        rank_pattern={"layers.0.self_attn.q_proj": 2, "down_proj": 7},
        alpha_pattern={"layers.1.self_attn.v_proj": 9, "down_proj": 3},
    ),
    "biased": dict(r=4, lora_alpha=8, lora_bias=True, target_modules=["q_proj", "o_proj"]),
}


def adapters(folder):
    import peft

    for number, (name, settings) in enumerate(ADAPTERS.items()):
        model = peft.get_peft_model(build("llama"), peft.LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, **settings))
        generator = torch.Generator().manual_seed(SEED + 100 + number)
        with torch.no_grad():
            for parameter_name, parameter in model.named_parameters():
                if "lora_" in parameter_name:
                    parameter.copy_((0.2 * torch.randn(parameter.shape, generator=generator)).half().float())
            ids = torch.randint(3, V, (2, ROW), generator=generator)
            logits = model(ids, use_cache=False).logits
        model.save_pretrained(f"{folder}/{name}", save_embedding_layers=False)
        expected = {"input_ids": ids.int(), "logits": logits}
        if not settings.get("lora_bias"):  # PEFT merges no bias into a layer that has none
            with torch.no_grad():
                expected["logits_merged"] = model.merge_and_unload()(ids, use_cache=False).logits
        save_file({k: v.detach().contiguous().clone() for k, v in expected.items()}, f"{folder}/{name}/expected.safetensors")
        for file in os.listdir(f"{folder}/{name}"):
            if file.endswith(".md"):
                os.remove(f"{folder}/{name}/{file}")
        print("adapter", name, flush=True)


def main():
    folder, names = sys.argv[1], sys.argv[2:] or [*FAMILIES, "adapters"]
    torch.backends.cuda.matmul.allow_tf32 = False
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "seed": SEED}
    for name in names:
        try:
            if name == "adapters":
                adapters(f"{folder}/llama-adapters")
            else:
                checkpoint(f"{folder}/{name}", name)
        except Exception:
            print("FAILED", name, flush=True)
            traceback.print_exc(limit=-3, file=sys.stdout)
    with open(f"{folder}/versions.json", "w") as file:
        json.dump(versions, file, indent=1)


main()
