"""One training step of the model of bench/gpt2-training.ts in PyTorch eager fp32 without TF32, as JSON on standard output.
python3 torch_gpt2.py > FILE, then BENCH_PEERS=FILE node bench/dist/gpt2-training.js"""
import json
from torch_gpt2_model import batch, places, steps

ms, peak = steps('fp32')
print(json.dumps({'tok/s': batch * places / ms * 1e3, 'ms': ms, 'peak GiB': peak / 2**30}))
