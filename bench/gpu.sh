#!/usr/bin/env bash
# The benchmarks of a GPU, each with its peers measured in the same run, as rows of results.csv (BENCH_RESULTS names another file):
#   bench/gpu.sh [kernels] [gemv] [attention] [recurrent] [llama] [engine] [speculation] [sampling] [cache] [gpt2] [training] [large] [lora] [replay] [tune]        all of them by default
# after `npm run build`. Needs python3 with PyTorch for the peers; a benchmark of which they fail runs without ratios.
# LLAMA_CPP: a command that prints llama.cpp's figures for a GGUF type, as {"prefill tok/s": 1, "decode tok/s": 2}.
set -uo pipefail
cd "$(dirname "$0")/.."
export DAWN_TOGGLES=${DAWN_TOGGLES-skip_validation,disable_robustness,disable_workgroup_init}
[ -n "$DAWN_TOGGLES" ] || unset DAWN_TOGGLES # DAWN_TOGGLES= measures what a browser gives
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# peers SCRIPT: its JSON in a file, {} where it fails
peers() {
  python3 "bench/peers/$1" >"$work/$1.json" 2>"$work/$1.log" || { tail -n 3 "$work/$1.log" >&2; echo '{}' >"$work/$1.json"; }
  export BENCH_PEERS=$work/$1.json
}

with_llama_cpp() {
  [ -n "${LLAMA_CPP:-}" ] || return 0
  for type in f16 q4_0; do $LLAMA_CPP "$type" >"$work/llama-$type.json" || echo '{}' >"$work/llama-$type.json"; done
  node -e '
    const { readFileSync, writeFileSync } = require("node:fs");
    const [file, ...types] = process.argv.slice(1);
    const peers = JSON.parse(readFileSync(file, "utf8"));
    for (const type of types)
      for (const [what, value] of Object.entries(JSON.parse(readFileSync(`${process.env.WORK}/llama-${type}.json`, "utf8"))))
        peers[`llama.cpp ${type} ${what}`] = value;
    writeFileSync(file, JSON.stringify(peers));' "$BENCH_PEERS" f16 q4_0
}
export WORK=$work

one() {
  printf '\n=== %s\n' "$1"
  case $1 in
    kernels) peers torch_kernels.py; node bench/dist/kernels.js ;;
    gemv) node bench/dist/gemv.js ;;
    attention) peers torch_attention.py; node bench/dist/attention.js ;;
    recurrent) node bench/dist/recurrent-layers.js ;;
    llama) peers torch_llama.py; with_llama_cpp; node bench/dist/llama-1b.js profile; node bench/dist/llama-1b.js q4_0 profile ;;
    engine) node bench/dist/engine.js ;;
    speculation) node bench/dist/speculation.js ;;
    sampling) node bench/dist/sampling.js ;;
    cache) for each in kvcache kvcache-tiers kvcache-retain; do node "bench/dist/$each.js" || return; done ;;
    gpt2) peers torch_gpt2.py; node bench/dist/gpt2-training.js ;;
    training) peers torch_training.py; node bench/dist/training.js ;;
    large) node bench/dist/large-gpt2.js 124M 20 plain; node bench/dist/large-gpt2.js 1.5B 20 ;;
    lora) peers torch_lora.py; node bench/dist/qlora.js ;;
    replay) env -u DAWN_TOGGLES node bench/dist/replay.js; DAWN_TOGGLES=skip_validation node bench/dist/replay.js ;;
    tune) node bench/dist/tune.js ;;
    *) echo "no benchmark $1" >&2; return 2 ;;
  esac
}

[ $# -gt 0 ] || set -- kernels gemv attention recurrent llama engine speculation sampling cache gpt2 training large lora replay tune
failed=0
for name; do one "$name" || failed=1; done
exit $failed
