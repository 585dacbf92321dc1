"""The whole lab: train, decay, export, evaluate. Run it again after a kill and it goes on.

    python -m lab.tiny.run --until 6000            the run of the published checkpoint, to that step
    python -m lab.tiny.run --branch 300            a decay branch of 300 steps off the run's last state, evaluated and exported
    python -m lab.tiny.run --plan thinking         the Thinking checkpoint, from models/tiny/instruct (or the folder that --adopt names)
    python -m lab.tiny.run --plan smoke            all parts of both in three minutes
"""

import argparse
import ctypes
import os
import sys
from pathlib import Path

import torch

from . import config, train

ROOT = Path(__file__).resolve().parents[2]


def keep_memory() -> None:
    """Lets glibc keep freed buffers: giving each tensor's pages back and faulting them in again costs a tenth of the time."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        for option, value in ((-3, 32 << 20), (-1, 2**31 - 1), (-2, 256 << 20)):   # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD
            libc.mallopt(option, value)
    except (OSError, AttributeError):
        pass    # another C library: slower, not wrong


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", default="long", choices=sorted(config.PLANS))
    parser.add_argument("--folder", type=Path, help="work folder; default .lab/<plan> in the checkout")
    parser.add_argument("--until", type=int, help="last step of the run in this sitting; default: the plan's end")
    parser.add_argument("--branch", type=int, default=0, help="instead train a decay branch of so many steps, export and evaluate it")
    parser.add_argument("--ranks", type=int, default=os.cpu_count() or 1, help="processes that share the work")
    parser.add_argument("--adopt", type=Path, help="begin a new work folder with the weights of this exported folder; a work folder that has begun goes on as it is where the plan has a source of its own")
    parser.add_argument("--step", type=int, default=0, help="with --adopt: the step to go on from")
    parser.add_argument("--export", type=Path, help="where the checkpoint goes; default <folder>/instruct or thinking")
    parser.add_argument("--count", type=int, default=50, help="questions for each row of the evaluation")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    keep_memory()
    plan = config.PLANS[args.plan]
    folder = args.folder or ROOT / ".lab" / plan.name
    folder.mkdir(parents=True, exist_ok=True)
    smoke = plan.name.startswith("smoke")
    if plan.falls and args.branch:
        parser.error(f"the rate of plan {plan.name} falls already: no --branch")
    if (args.adopt or plan.source) and not (plan.source and (folder / "state.pt").exists()):
        train.adopt(plan, folder, args.adopt or folder / plan.source, args.step)
    if smoke or not args.branch:
        train.Trainer(plan, folder, args.ranks).run(args.until)
    branch = 6 if plan.name == "smoke" else args.branch
    if branch:
        train.Trainer(plan, folder, args.ranks, branch).run()
    if branch or (plan.falls and (args.until or plan.steps) >= plan.steps):
        from . import evaluate, export
        out = args.export or folder / plan.form
        export.folder(plan, folder, out)
        kinds = ["--kinds", "shapes", "text"] if plan.name == "smoke-thinking" else []
        evaluate.main(["--model", str(out), "--count", "2" if smoke else str(args.count), "--json", str(folder / "evaluation.json"), *kinds])
    return main(["--plan", "smoke-thinking", "--ranks", str(args.ranks)]) if plan.name == "smoke" and not args.folder else 0


if __name__ == "__main__":
    sys.exit(main())
