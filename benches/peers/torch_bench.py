"""Times the card of workloads.py on PyTorch (eager, or --compile).  Prints `name<TAB>median<TAB>minimum`, seconds.

Run it on a machine that does nothing else: spinning threads that share a core make PyTorch ten times slower,
and the comparison worthless.
"""
import argparse, math
import torch
import torch.nn.functional as F
from workloads import cases, report

ap = argparse.ArgumentParser()
ap.add_argument("--device", default="cpu")
ap.add_argument("--threads", type=int, default=2)
ap.add_argument("--compile", action="store_true")
ap.add_argument("--only", default="", help="only rows whose names begin with this")
ap.add_argument("--seconds", type=float, default=0.4, help="time spent on each case")
a = ap.parse_args()
torch.set_num_threads(a.threads)
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False  # LSTMs
dev = torch.device(a.device)
g = torch.Generator().manual_seed(0)


def R(*shape, fan=None, grad=True):
    x = torch.randn(*shape, generator=g) / (math.sqrt(fan) if fan else 1.0)
    return x.to(dev).requires_grad_(grad)


def mha(q, kv, ws, h):
    wq, wk, wv, wo = ws
    *lead, tq, d = q.shape
    split = lambda x: x.view(*x.shape[:-1], h, d // h).transpose(-2, -3)
    o = F.scaled_dot_product_attention(split(q @ wq), split(kv @ wk), split(kv @ wv))
    return o.transpose(-2, -3).reshape(*lead, tq, d) @ wo


def build(family, p):
    """inputs (leaves) and a function of them"""
    if family == "matmul":
        return [R(p["m"], p["k"]), R(p["k"], p["n"], fan=p["k"])], lambda x, w: x @ w
    if family == "batched_matmul":
        return [R(p["b"], p["m"], p["k"]), R(p["b"], p["k"], p["n"], fan=p["k"])], torch.bmm
    if family == "linear":
        return [R(p["m"], p["k"]), R(p["k"], p["n"], fan=p["k"]), R(p["n"])], lambda x, w, b: torch.relu(torch.addmm(b, x, w))
    if family == "attention":
        d = p["d"]
        return [R(p["b"], p["t"], d)] + [R(d, d, fan=d) for _ in range(4)], lambda x, *ws: mha(x, x, ws, p["h"])
    if family == "memory_read":
        d = p["d"]
        return [R(1, p["a"], d), R(1, p["s"], d)] + [R(d, d, fan=d) for _ in range(4)], lambda q, m, *ws: mha(q, m, ws, p["h"])
    if family == "lstm":
        net = torch.nn.LSTM(p["i"], p["h"], batch_first=True).to(dev)
        return [R(p["b"], p["t"], p["i"])] + list(net.parameters()), lambda x, *_: net(x)[0]
    if family in ("gat", "message_sum"):
        n, e = p["n"], p["e"]
        src = torch.randint(n, (e,), generator=g).to(dev)
        dst = torch.arange(n, device=dev).repeat_interleave(e // n)
        if family == "message_sum":
            return [R(n, p["i"])], lambda x: torch.zeros_like(x).index_add(0, dst, x[src])
        hh, o = p["heads"], p["o"]

        def gat(x, w, al, ar):
            z = (x @ w).view(n, hh, o)
            s = F.leaky_relu((z * al).sum(-1)[src] + (z * ar).sum(-1)[dst], 0.2)
            m = torch.full((n, hh), -torch.inf, device=dev).scatter_reduce(0, dst[:, None].expand(e, hh), s, "amax")
            x_ = torch.exp(s - m[dst])
            den = torch.zeros(n, hh, device=dev).index_add(0, dst, x_)
            al_ = x_ / den[dst]
            return torch.zeros(n, hh, o, device=dev).index_add(0, dst, z[src] * al_[..., None]).view(n, hh * o)
        return [R(n, p["i"]), R(p["i"], hh * o, fan=p["i"]), R(hh, o), R(hh, o)], gat
    if family == "ssm_scan":
        b, l, c, n = p["b"], p["l"], p["c"], p["n"]

        def scan(u, la, bb, cc, dd):
            aa = torch.exp(-torch.exp(la))
            x = torch.zeros(b, c, n, device=dev)
            ys = []
            for t in range(l):
                x = aa * x + bb * u[:, t, :, None]
                ys.append((x * cc).sum(-1) + dd * u[:, t])
            return torch.stack(ys, 1)
        return [R(b, l, c), R(c, n), R(c, n), R(c, n), R(c)], scan
    if family == "tanh":
        return [R(p["n"], grad=False)], torch.tanh
    if family == "softmax":
        return [R(p["m"], p["n"])], lambda x: torch.softmax(x, -1)
    raise KeyError(family)


def train_step(family, p):
    if family == "adam":
        w = R(p["p"])
        w.grad = torch.randn_like(w)
        opt = torch.optim.Adam([w], lr=1e-3, fused=True)
        return opt.step
    net = torch.nn.Sequential(torch.nn.Linear(p["i"], 128), torch.nn.ReLU(), torch.nn.Linear(128, 64), torch.nn.ReLU(), torch.nn.Linear(64, p["o"])).to(dev)
    opt = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    x, y = R(p["m"], p["i"], grad=False), R(p["m"], p["o"], grad=False)
    fwd = torch.compile(lambda: F.mse_loss(net(x), y)) if a.compile else (lambda: F.mse_loss(net(x), y))

    def step():
        opt.zero_grad(set_to_none=True)
        fwd().backward()
        opt.step()
    return step


def runner(family, p, which):
    if which == "train":
        return train_step(family, p)
    leaves, f = build(family, p)
    if a.compile:
        f = torch.compile(f)
    if which == "fwd":
        def run():
            with torch.no_grad():
                f(*leaves)
        return run

    def run():
        f(*leaves).square().sum().backward()
        for x in leaves:
            x.grad = None
    return run


def sync(_result):
    if dev.type == "cuda":
        torch.cuda.synchronize()


for name, family, p, which in cases(a.only):
    report(name, runner(family, p, which), sync, a.seconds)
