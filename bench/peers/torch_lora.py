"""Fine-tuning the Llama of bench/qlora.ts by LoRA in PyTorch eager bf16, rank 16 on every linear layer, as JSON on standard output:
python3 torch_lora.py > FILE, then BENCH_PEERS=FILE node bench/dist/qlora.js"""
import json, torch
from torch.nn import functional as F
E, FF, LAYERS, H, K, V, B, L, RANK = 2048, 8192, 16, 32, 8, 32000, 4, 512, 16
D = E // H
trained = []

class Layer:
    def __init__(self, inputs, outputs):
        self.weight = (torch.randn(outputs, inputs, device='cuda') * 0.02).bfloat16()
        self.a = torch.randn(RANK, inputs, device='cuda', requires_grad=True)
        self.b = torch.zeros(outputs, RANK, device='cuda', requires_grad=True)
        trained.extend([self.a, self.b])

    def __call__(self, x):
        return F.linear(x, self.weight) + F.linear(F.linear(x, self.a), self.b)

layers = [{name: Layer(*size) for name, size in dict(
    q=(E, E), k=(E, K * D), v=(E, K * D), o=(E, E), gate=(E, FF), up=(E, FF), down=(FF, E)).items()} for _ in range(LAYERS)]
embedding, head = ((torch.randn(V, E, device='cuda') * 0.02).bfloat16() for _ in range(2))
norm = torch.ones(E, device='cuda').bfloat16()
angles = torch.arange(L, device='cuda')[:, None].float() * 1e4 ** (-torch.arange(0, D, 2, device='cuda') / D)
cos, sin = angles.cos().bfloat16(), angles.sin().bfloat16()

def rotate(x):
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)

def loss_of(tokens, targets):
    with torch.autocast('cuda', torch.bfloat16):
        x = F.embedding(tokens, embedding)
        heads = lambda t, count: t.view(B, L, count, D).transpose(1, 2)
        for layer in layers:
            y = F.rms_norm(x, (E,), norm, 1e-5)
            q, k, v = rotate(heads(layer['q'](y), H)), rotate(heads(layer['k'](y), K)), heads(layer['v'](y), K)
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
            x = x + layer['o'](mixed.transpose(1, 2).reshape(B, L, E))
            y = F.rms_norm(x, (E,), norm, 1e-5)
            x = x + layer['down'](F.silu(layer['gate'](y)) * layer['up'](y))
        logits = F.linear(F.rms_norm(x, (E,), norm, 1e-5), head)
    return F.cross_entropy(logits.view(-1, V).float(), targets.view(-1))

optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
tokens, targets = (torch.randint(0, V, (B, L), device='cuda') for _ in range(2))

def step():
    loss_of(tokens, targets).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)

for _ in range(3): step()
torch.cuda.synchronize(); torch.cuda.reset_peak_memory_stats()
best = 1e9
for _ in range(3):
    begin, end = torch.cuda.Event(True), torch.cuda.Event(True)
    begin.record()
    for _ in range(4): step()
    end.record(); torch.cuda.synchronize()
    best = min(best, begin.elapsed_time(end) / 4)
print(json.dumps({'tok/s': B * L / best * 1e3, 'peak GiB': torch.cuda.max_memory_allocated() / 2**30}))
