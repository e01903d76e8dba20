"""What PyTorch reaches with a random f16 Llama of a billion parameters, one sequence: decoding at a context of 512 compiled and
replayed as a CUDA graph, and prefill of 512 tokens, as JSON on standard output (tokens per second).
python3 torch_llama.py > FILE, then BENCH_PEERS=FILE node bench/dist/llama-1b.js"""
import json
import torch
import torch.nn.functional as F

E, FF, LAYERS, H, K, V, CONTEXT, CAPACITY = 2048, 8192, 16, 32, 8, 32000, 512, 1024
D = E // H

def weight(*shape):
    return (torch.randn(*shape, device='cuda') * 0.02).half()

class Layer:
    def __init__(self):
        self.qkv, self.out = weight((H + 2 * K) * D, E), weight(E, H * D)
        self.gate_up, self.down = weight(2 * FF, E), weight(E, FF)
        self.norm1 = self.norm2 = torch.ones(E, device='cuda').half()
        self.keys, self.values = weight(1, K, CAPACITY, D), weight(1, K, CAPACITY, D)

layers = [Layer() for _ in range(LAYERS)]
embedding, head, final_norm = weight(V, E), weight(V, E), torch.ones(E, device='cuda').half()
frequencies = 1e4 ** (-torch.arange(0, D, 2, device='cuda') / D)
key_positions = torch.arange(CAPACITY, device='cuda')

def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)

def forward(tokens, positions, attend):
    rows = tokens.shape[1]
    angles = positions[:, None].float() * frequencies
    cos, sin = angles.cos().half(), angles.sin().half()
    x = F.embedding(tokens, embedding)
    for layer in layers:
        q, k, v = F.linear(F.rms_norm(x, (E,), layer.norm1, 1e-5), layer.qkv).split([H * D, K * D, K * D], dim=-1)
        heads = lambda t, count: t.view(1, rows, count, D).transpose(1, 2)
        q, k, v = rotate(heads(q, H), cos, sin), rotate(heads(k, K), cos, sin), heads(v, K)
        layer.keys.index_copy_(2, positions, k)
        layer.values.index_copy_(2, positions, v)
        mixed = attend(q, k, v, layer, positions).transpose(1, 2).reshape(1, rows, H * D)
        x = x + F.linear(mixed, layer.out)
        gate, up = F.linear(F.rms_norm(x, (E,), layer.norm2, 1e-5), layer.gate_up).chunk(2, dim=-1)
        x = x + F.linear(F.silu(gate) * up, layer.down)
    return F.linear(F.rms_norm(x[:, -1], (E,), final_norm, 1e-5), head).argmax(-1)

def cached(q, k, v, layer, positions):
    mask = (key_positions <= positions)[None, None, None]
    return F.scaled_dot_product_attention(q, layer.keys, layer.values, attn_mask=mask, enable_gqa=True)

def own(q, k, v, layer, positions):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)

def milliseconds(work, count):
    for _ in range(5): work()
    torch.cuda.synchronize()
    begin, end = torch.cuda.Event(True), torch.cuda.Event(True)
    begin.record()
    for _ in range(count): work()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / count

def replayed(work):
    for _ in range(3): work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph): work()
    return graph.replay

with torch.no_grad():
    token, position = torch.zeros(1, 1, dtype=torch.long, device='cuda'), torch.tensor([CONTEXT], device='cuda')
    prompt = torch.randint(0, V, (1, CONTEXT), device='cuda')
    positions = torch.arange(CONTEXT, device='cuda')
    decode = torch.compile(lambda: forward(token, position, cached))
    results = {
        'decode tok/s': 1e3 / milliseconds(replayed(decode), 100),
        'prefill tok/s': CONTEXT * 1e3 / milliseconds(replayed(lambda: forward(prompt, positions, own)), 20),
    }
print(json.dumps(results))
