"""What PyTorch reaches on the attentions of bench/attention.ts, as JSON on standard output: TFLOP/s (3.5 times the forward
products for forward and backward), and GB/s of a copy, read and written bytes together."""
import json, torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

def milliseconds(work, warm_ms=400, rounds=5, count=10):
    """The median over rounds, after the clocks have settled."""
    begin, end = torch.cuda.Event(True), torch.cuda.Event(True)
    begin.record()
    while True:
        work(); end.record(); torch.cuda.synchronize()
        if begin.elapsed_time(end) > warm_ms: break
    found = []
    for _ in range(rounds):
        begin.record()
        for _ in range(count): work()
        end.record(); torch.cuda.synchronize()
        found.append(begin.elapsed_time(end) / count)
    return sorted(found)[rounds // 2]

out = {}
for B, H, S, D in ((4, 16, 2048, 64), (2, 32, 4096, 128)):
    name = f'B{B} H{H} S{S} D{D}'
    flops = 2 * B * H * S * S * D
    q, k, v = (torch.randn(B, H, S, D, device='cuda', dtype=torch.float16, requires_grad=True) for _ in range(3))
    g = torch.randn_like(q)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        with torch.no_grad():
            ms = milliseconds(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True))
        out[f'forward {name}'] = flops / ms / 1e9
        ms = milliseconds(lambda: torch.autograd.grad(F.scaled_dot_product_attention(q, k, v, is_causal=True), (q, k, v), g))
        out[f'forward and backward {name}'] = 3.5 * flops / ms / 1e9
    del q, k, v, g
x = torch.empty(1 << 28, device='cuda'); y = torch.empty_like(x)
out['copy GB/s'] = 2 * x.numel() * 4 / milliseconds(lambda: y.copy_(x)) / 1e6
print(json.dumps(out))
