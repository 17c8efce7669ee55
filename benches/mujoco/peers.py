"""Steps a second of the same bodies elsewhere: peers.py {gymnasium|envpool} BODY WORLDS SECONDS THREADS

    pip install gymnasium==1.4.0 mujoco==4.0.0 imageio envpool

Gymnasium: its synchronous vector environment, or with more than one thread its asynchronous one (a process each). EnvPool:
synchronous, with so many threads. Random actions drawn beforehand; both reset episodes that end by themselves.
"""

import sys
import time

import numpy as np

NAMES = {"half_cheetah": "HalfCheetah", "ant": "Ant", "humanoid": "Humanoid", "hopper": "Hopper",
         "walker2d": "Walker2d", "swimmer": "Swimmer"}


def main():
    which, body, worlds, seconds, threads = sys.argv[1:]
    worlds, seconds, threads = int(worlds), float(seconds), int(threads)
    if which == "gymnasium":
        import gymnasium

        mode = "async" if threads > 1 else "sync"
        env = gymnasium.make_vec(NAMES[body] + "-v5", num_envs=worlds, vectorization_mode=mode)
        env.reset(seed=1)
    else:
        import envpool

        known = envpool.list_all_envs()
        name = next(name for v in ("v5", "v4") if (name := f"{NAMES[body]}-{v}") in known)
        env = envpool.make(name, env_type="gymnasium", num_envs=worlds, num_threads=threads, seed=1)
        env.reset()
        which = f"envpool({name[-2:]})"
    space = env.single_action_space if hasattr(env, "single_action_space") else env.action_space
    random = np.random.default_rng(1)
    kind = space.dtype
    rounds = [random.uniform(space.low, space.high, (worlds, *space.shape)).astype(kind) for _ in range(64)]

    def measure(seconds):
        start, steps = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            env.step(rounds[steps % 64])
            steps += 1
        return steps * worlds / (time.perf_counter() - start)

    measure(0.3)
    print(f"{which} {body} {worlds} {measure(seconds):.0f}")


if __name__ == "__main__":
    main()
