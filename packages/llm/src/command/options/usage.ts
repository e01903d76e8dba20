/** Wrong use of the command: printed with a pointer to the help, exit code 2. */
export class UsageError extends Error {}

export const help = `heddle: language models in TypeScript, on WebGPU and on the CPU

  heddle generate --model MODEL [options]   continues a prompt
  heddle chat --model MODEL [options]       a conversation
  heddle serve --model MODEL [options]      answers clients of OpenAI's and Anthropic's APIs
  heddle eval --model MODEL --text FILE | --choices FILE.jsonl    perplexity, answers
  heddle bench --model MODEL [options]      how fast prompts and tokens are computed
  heddle train --data TEXT --out FOLDER     trains a model on text, a new one or --model MODEL
  heddle finetune --model MODEL --data FILE --out FOLDER   trains an adapter, or the model, on examples
  heddle inspect --model MODEL [options]    what a model costs: parameters, memory, operations
  heddle pull --model owner/name [--json]   fetches a model of a hub into the cache, and prints its path
  heddle quantize --model MODEL --output FILE.gguf --dtype NAME    writes a GGUF file, or a folder under any other name
  heddle export-onnx --model MODEL --output FILE.onnx    writes a model for ONNX Runtime: token ids to logits
  heddle devices  [--json] [--verbose]      what devices there are; with all limits
  heddle completion bash|zsh|fish           what the shell completes commands with: eval "$(heddle completion bash)"
  heddle help | --help                      this text
  heddle --version

generate
  --model MODEL           a Hugging Face folder (config.json, *.safetensors, tokenizer.json), a .gguf file, or a model
                          of a hub: owner/name, owner/name@revision, owner/name:file.gguf
  --adapter FOLDER        a low-rank adapter for it, in PEFT's format, as finetune writes it
  --prompt TEXT           what to continue (by default the beginning-of-sequence token alone)
  --prompt-tokens 1,2,3   the same as token ids; needs no tokenizer
  --max-tokens N          most tokens to generate (default: what the model's authors suggest, otherwise 128; at most what
                          the context leaves)
  --ignore-eos            go on after the end-of-sequence token
  --temperature T         0 takes the most likely token (default: what the model's authors suggest, otherwise 0)
  --top-k K, --top-p P, --min-p P, --typical-p P, --epsilon-cutoff E, --eta-cutoff E
                          draw from the most likely tokens only
  --repetition-penalty R, --presence-penalty P, --frequency-penalty F, --no-repeat-ngram-size N
                          make tokens that have occurred less likely
  --logit-bias 5=-2,7=-inf   added to the logits of tokens; --bad-words 7;12,5 are not to be generated, as token ids
  --seed S                repeats a draw; does not ask for one
  --beams N               the most likely text of a search with N beams, in place of drawing; printed when it is whole
  --length-penalty P      above 0 favours long texts (default 1); --early-stopping true, false or never (default false)
  --device NAME           auto, webgpu, onnx or reference (default auto: with a GPU what answers sooner with this model, measured
                          on first use and remembered; otherwise the CPU)
  --dtype NAME            how matrices are stored: f32, f16, q8_0, q4_0, mxfp4, q4_k, q5_k or q6_k (f32,
                          of a .gguf file as it has them)
  --json                  one JSON object instead of the text
  --verbose               all there is to say of the model's files, not only what changes results

chat (/help says what can be typed)
  --model, --max-tokens, --temperature, --top-k, --top-p, --seed, --device, --dtype    as above
  --system TEXT           how to answer
  --json                  a line of JSON for each answer
  --reasoning-budget N    most tokens of thought before an answer

serve
  --model [NAME=]MODEL    as above; several times for several models, each in a process of its own
  --embedding-model, --ranking-model [NAME=]MODEL    for /v1/embeddings and /v1/rerank
  --adapter NAME=FOLDER   a low-rank adapter under a name of its own; NAME@MODEL=FOLDER where there are several models
  --cache-dir FOLDER      keeps what prompts begin with over restarts; --cache-dir-size SIZE, such as 20GiB, bounds it
  --drop-line REGEX       lines of system prompts that change every turn and say nothing, left out; several times for several
  --memory SIZE           what all models may take together, such as 40GiB; --idle MINUTES without a request close one:
                          with either of them models are opened when they are first asked for
  --host H, --port N      (default 127.0.0.1, 8080; 0 takes a free port); another host needs a key, or --insecure
  --api-key KEY           which clients must have, several times for several (also HEDDLE_API_KEY)
  --allow-host NAME, --allow-origin ORIGIN    further names of this server, pages that may ask it
  --max-sequences N, --context N    sequences at once (default 8), tokens of one
  --max-requests N        requests under way, running and waiting, before others get 429 (default 256)
  --grace S               seconds for what is under way when it is told to stop (default 10)
  --device NAME, --dtype NAME    as above; --quiet logs nothing; --no-page has no chat page at /
  --json                  says where it listens as one JSON object; the log is lines of JSON in any case

eval
  --text FILE             perplexity and bits per byte of a text
  --choices FILE.jsonl    lines of { "prompt", "choices": [...], "answer": 0 }: how often the likeliest is the right one
  --context N             tokens of a window, which half overlap (default 512); --model, --device, --dtype, --json as above

bench
  --prompt-tokens 32,256, --batches 1,8, --new-tokens 32, --runs 3    what is measured; the median of the runs counts
  --json                  one JSON object; --compare FILE puts ratios to such a file into the table
  --model, --device, --dtype    as above

train
  --data PATH             a text file, or a folder of .txt and .md files; the last 5% of each are held out
  --out FOLDER            the model, which generate loads
  --model MODEL           trains this one further; otherwise a new Llama of:
  --width N, --layers N, --vocabulary N, --context N   (default 256, 4, 4096, 512)
  --steps N               (default 2000)

finetune
  --model MODEL           as above
  --data FILE             JSON lines: { text }, { prompt, completion } or { messages }; of these the completions and what
                          the assistant says is learned
  --out FOLDER            the adapter in PEFT's format; with --merge or --full the model
  --rank N, --alpha A     of the adapter (default 8, twice the rank)
  --targets NAMES         its linear layers, such as q_proj,v_proj (default all but embedding and head)
  --dropout P             part of its inputs that is left out (default 0)
  --merge                 writes the adapter into the model's weights
  --full                  trains all weights
  --epochs N              (default 1)
  --length N              tokens of a row, which holds as many examples as fit (default 512)
  --dtype NAME            how the weights of the model are stored; q4_0 and others for adapters alone

train and finetune
  --batch N               rows of a batch (default 32, 4); --accumulate N takes the mean over so many in a step
  --learning-rate R       the highest (default 4e-3 for new models, 3e-4, 2e-4 for adapters, 2e-5 with --full)
  --weight-decay D        (default 0.1, 0)
  --checkpointing         computes layers again in the backward pass instead of keeping them: less memory, more time
  --seed S                of order, first weights and dropout (default 1)
  --json                  one JSON object at the end: where the result is, steps, loss, seconds
  --log FILE              one JSON object a step; --report FILE.html a page with plots
  --device NAME           as above

inspect (nothing is loaded)
  --model MODEL           as above (of a hub only its configuration is fetched), or a preset: gpt2-small, llama-7b,
                          llama-65b, blocks-gpt2-small-mha, blocks-llama-7b-mqa, blocks-llama-65b-gqa-8
  --context N, --batch N  tokens of each sequence (default 2048 or the model's context), sequences at once (default 1)
  --dtype NAME            how matrices are stored (default f16)
  --cache-dtype NAME      f32 or f16 (default f16)
  --memory SIZE           what fits it, such as 24GiB: dtypes, sequences, kinds of attention
  --json                  one JSON object instead of the text

quantize
  --dtype NAME            f32, f16, q8_0, q6_k, q5_k, q4_k, q4_0 or mxfp4: how matrices are stored (a head in four bits keeps six)
  --text FILE             compares predictions with those of f16 on it (default: on what the model writes by itself)
  --no-check              does not compare
  --json                  one JSON object instead of the text
  --device NAME           where to compare

export-onnx
  --context N             most tokens of a run (default the model's context); --dtype, --json as above

devices
  --json                  one JSON object for each device in a list; --verbose all features and limits

Examples
  heddle pull --model Qwen/Qwen3-0.6B
  heddle generate --model Qwen/Qwen3-0.6B --prompt "Once upon a time" --max-tokens 50 --temperature 0
  heddle chat --model Qwen/Qwen3-0.6B --system "Answer in one sentence"
  heddle serve --model qwen=Qwen/Qwen3-0.6B --cache-dir ~/.cache/heddle/prompts
  heddle serve --model small=models/a --model large=models/b.gguf --memory 20GiB --host 0.0.0.0 --api-key a-long-secret
  heddle eval --model models/a --text book.txt --json
  heddle bench --model models/a --prompt-tokens 128,1024 --batches 1,16 --json > before.json
  heddle bench --model models/a --prompt-tokens 128,1024 --batches 1,16 --compare before.json
  heddle train --data books/ --out models/own --steps 3000
  heddle finetune --model models/a --data chats.jsonl --out adapters/a --rank 16
  heddle inspect --model llama-7b --memory 24GiB
  heddle quantize --model models/a --output a-q4_k.gguf --dtype q4_k
  heddle export-onnx --model models/a --output a.onnx
  heddle devices --verbose

Ctrl-C stops a server when what is under way has ended, twice at once; it stops a generation and prints what there is; it ends a training and writes what it has come to.
Models of a hub: HF_ENDPOINT (https://huggingface.co), HF_TOKEN, HF_HOME (~/.cache/huggingface), HF_HUB_CACHE,
HF_HUB_OFFLINE=1 (no network).
Options that are always the same: ~/.config/heddle/config.json (or HEDDLE_CONFIG), { "serve": { "model": ["a"], "port": 80 } }.
Environment: HEDDLE_API_KEY, VULKAN_LOADER (path of libvulkan.so.1), DAWN_TOGGLES (switches of Dawn, separated by commas).
Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted.
`;
