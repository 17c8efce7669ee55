"""Records the episodes beside this file with gymnasium 1.4.0 and mujoco 4.0.0 (numpy, imageio beside them):

    pip install gymnasium==1.4.0 mujoco==4.0.0 imageio && python record.py

Starts and actions are exact; states [coordinates, velocities] and observations after some steps, rewards and ends after all.
Stepping goes on after a body has fallen, as the environment itself allows.
"""

import json
import pathlib

import gymnasium
import mujoco
import numpy as np

ENVIRONMENTS = ["Hopper-v5", "Hopper-v4", "Walker2d-v5", "Walker2d-v4", "Swimmer-v5", "Swimmer-v4",
                "InvertedPendulum-v5", "InvertedPendulum-v4",
                "HalfCheetah-v5-gravity0.5", "HalfCheetah-v5-mass2"]
STEPS, EVERY = 100, 4


def rounded(numbers):
    return [float(f"{number:.12g}") for number in numbers]


for name in ENVIRONMENTS:
    base = "-".join(name.split("-")[:2])
    environment = gymnasium.make(base).unwrapped
    if name.endswith("gravity0.5"):
        environment.model.opt.gravity[:] *= 0.5
    if name.endswith("mass2"):
        environment.model.body_mass[:] *= 2
        environment.model.body_inertia[:] *= 2
        mujoco.mj_setConst(environment.model, environment.data)
    random = np.random.default_rng(7)
    observation, _ = environment.reset(seed=7)
    data = environment.data
    low, high = environment.action_space.low, environment.action_space.high
    # A hopping body falls within a few steps of whole random actions.
    actions = [(0.3 * random.uniform(low, high)).astype(np.float32) for _ in range(STEPS)]
    record = {
        "env": base,
        "qpos0": data.qpos.tolist(),
        "qvel0": data.qvel.tolist(),
        "actions": [[float(number) for number in action] for action in actions],
        "observations": {"0": rounded(observation)},
        "rewards": [],
        "terminated": [],
        "states": {},
    }
    for step, action in enumerate(actions, 1):
        observation, reward, terminated, _, _ = environment.step(action)
        record["rewards"].append(float(f"{reward:.12g}"))
        record["terminated"].append(bool(terminated))
        if step % EVERY == 0 or step == 1:
            record["states"][str(step)] = [rounded(data.qpos), rounded(data.qvel)]
            record["observations"][str(step)] = rounded(observation)
    path = pathlib.Path(__file__).with_name(f"{name}.json")
    path.write_text(json.dumps(record, separators=(",", ":")) + "\n")
    print(path.name, path.stat().st_size, "bytes, fell after", record["terminated"].count(False), "steps")
