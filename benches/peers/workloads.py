"""The timing card: fixed workloads, run here on PyTorch and JAX, and in synod's bench `card` under the same names,
so that one machine can hold them side by side in one run.

Names are FAMILY/SIZE/PASS.  Sizes are written out in SIZES; PASS is `fwd` (forward only) or
`fwdbwd` (forward, a sum-of-squares loss, gradients of every input and weight).  `train` is a whole
optimiser step.  All numbers are f32, inputs standard normal, weights normal / sqrt(fan_in).
"""
import statistics
import time

# family -> size name -> parameters
SIZES = {
    # square matrix product [n, n] x [n, n]
    "matmul": {str(n): dict(m=n, k=n, n=n) for n in (64, 256, 512, 1024, 2048)},
    # a batch of small products, each [m, k] x [k, n]: per-agent weights
    "batched_matmul": {"64x64": dict(b=64, m=64, k=64, n=64), "32x256x64x64": dict(b=32, m=256, k=64, n=64)},
    # y = relu(x W + b)
    "linear": {"1024x64x64": dict(m=1024, k=64, n=64), "4096x256x256": dict(m=4096, k=256, n=256)},
    # two hidden layers of 128 and 64 (ReLU), mean-squared error, one Adam step
    "mlp_adam": {"256x64-128-64-8": dict(m=256, i=64, o=8), "4096x64-128-64-8": dict(m=4096, i=64, o=8)},
    # multi-head self attention with its four projections, no mask: batch b, tokens t, width d, heads h
    "attention": {"b32_t16_d64_h4": dict(b=32, t=16, d=64, h=4), "b32_t64_d256_h8": dict(b=32, t=64, d=256, h=8),
                  "b4_t512_d256_h8": dict(b=4, t=512, d=256, h=8)},
    # one LSTM layer over t steps: batch b, input i, hidden h
    "lstm": {"b64_t32_i64_h64": dict(b=64, t=32, i=64, h=64), "b256_t16_i64_h128": dict(b=256, t=16, i=64, h=128)},
    # graph attention (GATv1: additive scores, leaky ReLU 0.2, softmax over in-edges): n nodes, e edges, width in -> heads x out
    "gat": {"n1024_e8192_64_4x16": dict(n=1024, e=8192, i=64, heads=4, o=16), "n16384_e131072_64_4x16": dict(n=16384, e=131072, i=64, heads=4, o=16)},
    # sum of messages along edges: out[dst] += x[src]
    "message_sum": {"n16384_e131072_64": dict(n=16384, e=131072, i=64)},
    # cross attention of a queries over s memory slots of width d, h heads, with its four projections
    "memory_read": {"a32_s1024_d256_h8": dict(a=32, s=1024, d=256, h=8), "a1024_s1024_d256_h8": dict(a=1024, s=1024, d=256, h=8)},
    # diagonal state space layer: x_t = a * x_{t-1} + b * u_t, y_t = c . x_t + d u_t ; batch, length, channels, states (real)
    "ssm_scan": {"b32_l256_c64_n16": dict(b=32, l=256, c=64, n=16)},
    # one fused Adam step over p parameters
    "adam": {"1M": dict(p=1_000_000)},
    # tanh over n numbers
    "tanh": {"1M": dict(n=1_000_000)},
    # softmax over rows
    "softmax": {"4096x256": dict(m=4096, n=256)},
}
TRAIN_ONLY = {"mlp_adam", "adam"}
FORWARD_ONLY = {"tanh"}


def cases(only=""):
    """Rows whose names begin with `only`: name, family, sizes, pass."""
    for family, sizes in SIZES.items():
        for size, p in sizes.items():
            passes = ("train",) if family in TRAIN_ONLY else ("fwd",) if family in FORWARD_ONLY else ("fwd", "fwdbwd")
            for which in passes:
                name = f"{family}/{size}/{which}"
                if name.startswith(only):
                    yield name, family, p, which


def report(name, run, wait, seconds):
    """Prints `name<TAB>median<TAB>minimum` of the seconds of `run`, whose result `wait` waits for."""
    for _ in range(3):
        wait(run())
    start = time.perf_counter()
    wait(run())
    inner = max(1, int(0.02 / max(time.perf_counter() - start, 1e-7)))
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        for _ in range(inner):
            result = run()
        wait(result)
        times.append((time.perf_counter() - start) / inner)
    print(f"{name}\t{statistics.median(times):.3e}\t{min(times):.3e}", flush=True)


if __name__ == "__main__":
    for name, *_ in cases():
        print(name)
