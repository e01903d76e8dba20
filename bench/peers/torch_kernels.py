"""What PyTorch reaches on the products of bench/kernels.ts, as JSON on standard output: TFLOP/s, or GB/s of weights.
python3 torch_kernels.py > FILE, then BENCH_PEERS=FILE node bench/dist/kernels.js"""
import json, torch
torch.backends.cuda.matmul.allow_tf32 = False

def time_of(work, count):
    for _ in range(5): work()
    torch.cuda.synchronize()
    best = 1e9
    for _ in range(5):
        begin, end = torch.cuda.Event(True), torch.cuda.Event(True)
        begin.record()
        for _ in range(count): work()
        end.record(); torch.cuda.synchronize()
        best = min(best, begin.elapsed_time(end) / count)
    return best / 1e3

out = {}
def product(name, dtype, m, n, k, a_t=False, b_t=False):
    copies = max(1, min(8, (256 << 20) // (n * k * dtype.itemsize)))
    a = torch.randn(*((k, m) if a_t else (m, k)), device='cuda').to(dtype)
    bs = [torch.randn(*((n, k) if b_t else (k, n)), device='cuda').to(dtype) for _ in range(copies)]
    left = a.t() if a_t else a
    def work():
        for b in bs: left @ (b.t() if b_t else b)
    seconds = time_of(work, max(2, int(2e12 / (2 * m * n * k * copies)) + 1)) / copies
    out[name] = 2 * m * n * k / seconds / 1e12

for s in (1024, 2048, 4096, 8192): product(f'f16 NN {s}', torch.float16, s, s, s)
product('f16 NT 4096', torch.float16, 4096, 4096, 4096, b_t=True)
product('f16 TN 4096', torch.float16, 4096, 4096, 4096, a_t=True)
for m in (32, 512):
    product(f'f16 NN {m}x4096x4096', torch.float16, m, 4096, 4096)
    product(f'f16 NT {m}x4096x4096', torch.float16, m, 4096, 4096, b_t=True)
product('f32 NN 4096', torch.float32, 4096, 4096, 4096)
product('f32 NT 4096', torch.float32, 4096, 4096, 4096, b_t=True)
for m, n in ((1, 14336), (1, 4096), (8, 14336)): product(f'f16 NT {m}x{n}x4096', torch.float16, m, n, 4096, b_t=True)
big = torch.empty(1 << 28, device='cuda'); other = torch.empty_like(big)
out['copy GB/s'] = 2 * big.numel() * 4 / time_of(lambda: other.copy_(big), 10) / 1e9
print(json.dumps(out))
