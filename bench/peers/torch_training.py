"""Training steps of the model of bench/training.ts in PyTorch eager, fp32 without TF32 and bf16 by autocast, as JSON on standard
output: python3 torch_training.py > FILE, then BENCH_PEERS=FILE node bench/dist/training.js"""
import json, torch
from torch_gpt2_model import batch, places, steps

found = {}
for name in ('fp32', 'bf16'):
    ms, peak = steps(name)
    found |= {f'{name} tok/s': batch * places / ms * 1e3, f'{name} peak GiB': peak / 2**30}
    torch.cuda.empty_cache()
print(json.dumps(found))
