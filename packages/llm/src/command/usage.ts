/** Wrong use of the command: printed with a pointer to the help, exit code 2. */
export class UsageError extends Error {}

export const help = `heddle: language models in TypeScript, on WebGPU and on the CPU

  heddle generate --model MODEL [options]   continues a prompt
  heddle inspect --model MODEL [options]    what a model costs: parameters, memory, operations
  heddle pull --model owner/name [--json]   fetches a model of a hub into the cache, and prints its path
  heddle devices  [--json]                  what devices there are
  heddle help | --help                      this text
  heddle --version

generate
  --model MODEL           a Hugging Face folder (config.json, *.safetensors, tokenizer.json), a .gguf file, or a model
                          of a hub: owner/name, owner/name@revision, owner/name:file.gguf
  --prompt TEXT           what to continue (by default the beginning-of-sequence token alone)
  --prompt-tokens 1,2,3   the same as token ids; needs no tokenizer
  --max-tokens N          most tokens to generate (default: what the model's authors suggest, otherwise 128; at most what
                          the context leaves)
  --ignore-eos            go on after the end-of-sequence token
  --temperature T         0 takes the most likely token (default: what the model's authors suggest, otherwise 0)
  --top-k K, --top-p P    draw from the most likely tokens only
  --seed S                repeats a draw; does not ask for one
  --device NAME           auto, webgpu, onnx or reference (default auto: a GPU, otherwise the CPU)
  --dtype NAME            how matrices are stored: f32, f16, q8_0, q4_0, q4_k or q6_k (default f32,
                          of a .gguf file as it has them)
  --json                  one JSON object instead of the text
  --verbose               all there is to say of the model's files, not only what changes results

inspect (nothing is loaded)
  --model MODEL           as above (of a hub only its configuration is fetched), or a preset: gpt2-small, llama-7b,
                          llama-65b, blocks-gpt2-small-mha, blocks-llama-7b-mqa, blocks-llama-65b-gqa-8
  --context N, --batch N  tokens of each sequence (default 2048 or the model's context), sequences at once (default 1)
  --dtype NAME            how matrices are stored (default f16)
  --cache-dtype NAME      f32 or f16 (default f16)
  --memory SIZE           what fits it, such as 24GiB: dtypes, sequences, kinds of attention
  --json                  one JSON object instead of the text

Ctrl-C stops a generation and prints what there is.
Models of a hub: HF_ENDPOINT (https://huggingface.co), HF_TOKEN, HF_HOME (~/.cache/huggingface), HF_HUB_CACHE,
HF_HUB_OFFLINE=1 (no network).
Environment: VULKAN_LOADER (path of libvulkan.so.1), DAWN_TOGGLES (switches of Dawn, separated by commas).
Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted.
`;
