"""GPT-2 124M as bench/gpt2-model.ts has it, and the time of its training steps, for torch_gpt2.py and torch_training.py."""
import torch
from torch.nn import functional as F
vocabulary, places, width, blocks, heads, batch = 50304, 1024, 768, 12, 12, 8

def block(inner):
    return torch.nn.ModuleDict(dict(
        first=torch.nn.LayerNorm(width), attend=torch.nn.Linear(width, 3 * width), back=torch.nn.Linear(width, width),
        second=torch.nn.LayerNorm(width), widen=torch.nn.Linear(width, inner), narrow=torch.nn.Linear(inner, width)))

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.token, self.place = torch.nn.Embedding(vocabulary, width), torch.nn.Embedding(places, width)
        self.blocks = torch.nn.ModuleList(block(4 * width) for _ in range(blocks))
        self.last = torch.nn.LayerNorm(width)

    def forward(self, tokens, targets):
        x = self.token(tokens) + self.place.weight
        for b in self.blocks:
            parts = b.attend(b.first(x)).view(batch, places, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
            mixed = F.scaled_dot_product_attention(parts[0], parts[1], parts[2], is_causal=True)
            x = x + b.back(mixed.transpose(1, 2).reshape(batch, places, width))
            x = x + b.narrow(F.gelu(b.widen(b.second(x)), approximate='tanh'))
        logits = self.last(x) @ self.token.weight.t()
        return F.cross_entropy(logits.view(-1, vocabulary).float(), targets.view(-1))

def steps(compute):
    """The best mean milliseconds of five steps by AdamW, of three, and the peak bytes: in fp32 without TF32, or in `compute` by autocast."""
    torch.backends.cuda.matmul.allow_tf32 = False
    model = Model().cuda()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    tokens, targets = (torch.randint(0, 50257, (batch, places), device='cuda') for _ in range(2))

    def step():
        with torch.autocast('cuda', torch.bfloat16, enabled=compute == 'bf16'):
            loss = model(tokens, targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    for _ in range(4): step()
    torch.cuda.synchronize(); torch.cuda.reset_peak_memory_stats()
    best = 1e9
    for _ in range(3):
        begin, end = torch.cuda.Event(True), torch.cuda.Event(True)
        begin.record()
        for _ in range(5): step()
        end.record(); torch.cuda.synchronize()
        best = min(best, begin.elapsed_time(end) / 5)
    return best, torch.cuda.max_memory_allocated()
