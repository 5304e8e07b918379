"""The error and the power of the rule by which `derlem compare` stops, on simulated seeds.

python benchmarks/sequential.py
"""

from __future__ import annotations

import numpy as np

from trainer.compare.sequential import Rule, simulate, smallest_difference

PATHS = 100_000
EFFECTS = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0)
"""True differences, in standard deviations of one run beside its seed."""


def main() -> None:
    """Print, for several rules and kinds of noise, how often each verdict is reached."""
    rng = np.random.default_rng(1)
    noises = {
        "normal": rng.standard_normal((PATHS, 2, 12)),
        "t, 3 degrees": rng.standard_t(3, (PATHS, 2, 12)),
        "exponential": rng.exponential(1.0, (PATHS, 2, 12)) - 1,
        "one corpus twice as noisy": rng.standard_normal((PATHS, 2, 12)) * np.array([1.0, 2.0])[:, None],
    }
    for first, most in ((2, 6), (3, 8), (3, 12)):
        rule = Rule(first, most, 0.05)
        print(
            f"looks after {first} to {most} seeds, nominal level {100 * rule.level(2):.2f} %, "
            f"smallest difference {smallest_difference(rule, 1.0, 2):.2f}"
        )
        for name, draws in noises.items():
            for effect in EFFECTS if name == "normal" else (0.0,):
                found = simulate(rule, effect, draws[:, :, :most])
                print(
                    f"  {name}, difference {effect}: better {100 * found.better:.2f} %, "
                    f"worse {100 * found.worse:.2f} %, mean seeds {found.seeds:.1f}"
                )


if __name__ == "__main__":
    main()
