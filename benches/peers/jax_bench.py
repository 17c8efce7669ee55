"""Times the card of workloads.py on JAX (jit).  Prints `name<TAB>median<TAB>minimum`, seconds, on a quiet machine."""
import argparse, math
import jax, jax.numpy as jnp
import numpy as np
from workloads import cases, report

ap = argparse.ArgumentParser()
ap.add_argument("--only", default="", help="only rows whose names begin with this")
ap.add_argument("--seconds", type=float, default=0.4)
a = ap.parse_args()
jax.config.update("jax_default_matmul_precision", "highest")
rng = np.random.default_rng(0)


def R(*shape, fan=None):
    return jnp.asarray(rng.standard_normal(shape, dtype=np.float32) / (math.sqrt(fan) if fan else 1.0))


def mha(q, kv, ws, h):
    wq, wk, wv, wo = ws
    d = q.shape[-1]
    split = lambda x: x.reshape(*x.shape[:-1], h, d // h)
    s = jnp.einsum("...qhd,...khd->...hqk", split(q @ wq), split(kv @ wk)) / math.sqrt(d // h)
    o = jnp.einsum("...hqk,...khd->...qhd", jax.nn.softmax(s, -1), split(kv @ wv))
    return o.reshape(q.shape) @ wo


def build(family, p):
    if family == "matmul":
        return [R(p["m"], p["k"]), R(p["k"], p["n"], fan=p["k"])], lambda x, w: x @ w
    if family == "batched_matmul":
        return [R(p["b"], p["m"], p["k"]), R(p["b"], p["k"], p["n"], fan=p["k"])], lambda x, w: x @ w
    if family == "linear":
        return [R(p["m"], p["k"]), R(p["k"], p["n"], fan=p["k"]), R(p["n"])], lambda x, w, b: jax.nn.relu(x @ w + b)
    if family == "attention":
        d = p["d"]
        return [R(p["b"], p["t"], d)] + [R(d, d, fan=d) for _ in range(4)], lambda x, *ws: mha(x, x, ws, p["h"])
    if family == "memory_read":
        d = p["d"]
        return [R(1, p["a"], d), R(1, p["s"], d)] + [R(d, d, fan=d) for _ in range(4)], lambda q, m, *ws: mha(q, m, ws, p["h"])
    if family == "lstm":
        i, h, b = p["i"], p["h"], p["b"]

        def lstm(x, wi, wh, bias):
            def cell(carry, xt):
                hh, c = carry
                ii, f, g, o = jnp.split(xt @ wi + hh @ wh + bias, 4, -1)
                c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(ii) * jnp.tanh(g)
                hh = jax.nn.sigmoid(o) * jnp.tanh(c)
                return (hh, c), hh
            return jax.lax.scan(cell, (jnp.zeros((b, h)), jnp.zeros((b, h))), x.swapaxes(0, 1))[1]
        return [R(b, p["t"], i), R(i, 4 * h, fan=i), R(h, 4 * h, fan=h), R(4 * h)], lstm
    if family in ("gat", "message_sum"):
        n, e = p["n"], p["e"]
        src = jnp.asarray(rng.integers(n, size=e), jnp.int32)
        dst = jnp.repeat(jnp.arange(n, dtype=jnp.int32), e // n)
        seg = lambda x: jax.ops.segment_sum(x, dst, n, indices_are_sorted=True)
        if family == "message_sum":
            return [R(n, p["i"])], lambda x: seg(x[src])
        hh, o = p["heads"], p["o"]

        def gat(x, w, al, ar):
            z = (x @ w).reshape(n, hh, o)
            s = jax.nn.leaky_relu((z * al).sum(-1)[src] + (z * ar).sum(-1)[dst], 0.2)
            m = jax.ops.segment_max(s, dst, n, indices_are_sorted=True)
            x_ = jnp.exp(s - m[dst])
            al_ = x_ / seg(x_)[dst]
            return seg(z[src] * al_[..., None]).reshape(n, hh * o)
        return [R(n, p["i"]), R(p["i"], hh * o, fan=p["i"]), R(hh, o), R(hh, o)], gat
    if family == "ssm_scan":
        b, l, c, n = p["b"], p["l"], p["c"], p["n"]

        def scan(u, la, bb, cc, dd):
            aa = jnp.exp(-jnp.exp(la))

            def step(x, ut):
                x = aa * x + bb * ut[..., None]
                return x, (x * cc).sum(-1) + dd * ut
            return jax.lax.scan(step, jnp.zeros((b, c, n)), u.swapaxes(0, 1))[1]
        return [R(b, l, c), R(c, n), R(c, n), R(c, n), R(c)], scan
    if family == "tanh":
        return [R(p["n"])], jnp.tanh
    if family == "softmax":
        return [R(p["m"], p["n"])], lambda x: jax.nn.softmax(x, -1)
    raise KeyError(family)


def adam(w, m, v, g, t):
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
    w = jax.tree.map(lambda w, m, v: w - 1e-3 * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8), w, m, v)
    return w, m, v


def runner(family, p, which):
    if which == "train":
        if family == "adam":
            w, g = R(p["p"]), R(p["p"])
            f = jax.jit(lambda w, m, v, g, t: adam(w, m, v, g, t), donate_argnums=(0, 1, 2))
            st = [w, jnp.zeros_like(w), jnp.zeros_like(w)]

            def run():
                st[:] = f(*st, g, 3.0)
                return st[0]
            return run
        dims = [p["i"], 128, 64, p["o"]]
        w = [(R(i, o, fan=i), jnp.zeros(o)) for i, o in zip(dims, dims[1:])]
        x, y = R(p["m"], p["i"]), R(p["m"], p["o"])

        def loss(w, x, y):
            for k, (wi, b) in enumerate(w):
                x = x @ wi + b
                x = jax.nn.relu(x) if k < 2 else x
            return jnp.mean((x - y) ** 2)

        @jax.jit
        def step(w, m, v, x, y, t):
            return adam(w, m, v, jax.grad(loss)(w, x, y), t)
        z = jax.tree.map(jnp.zeros_like, w)
        st = [w, z, z]

        def run():
            st[:] = step(*st, x, y, 3.0)
            return st[0]
        return run
    leaves, f = build(family, p)
    if which == "fwd":
        f = jax.jit(f)
        return lambda: f(*leaves)
    df = jax.jit(jax.grad(lambda *xs: jnp.sum(f(*xs) ** 2), argnums=tuple(range(len(leaves)))))
    return lambda: df(*leaves)


for name, family, p, which in cases(a.only):
    report(name, runner(family, p, which), jax.block_until_ready, a.seconds)
