"""Everything in order: train every stage of a plan, evaluate, export. Run it again after a kill and it goes on.

    python -m lab.tiny.run                         the published checkpoint
    python -m lab.tiny.run --plan smoke            all stages in three minutes
    python -m lab.tiny.run --only read             one stage; `--steps joint=4000` changes a length
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from . import config, train

ROOT = Path(__file__).resolve().parents[2]


def spread(ranks: int, arguments: list[str]) -> None:
    """Runs the training stages of the same command in `ranks` processes; any that fails stops all."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` takes the workers along
    with tempfile.TemporaryDirectory() as folder:
        group = {**os.environ, "WEFT_LAB_GROUP": os.path.join(folder, "group")}
        workers = [subprocess.Popen([sys.executable, "-m", "lab.tiny.run", *arguments], cwd=ROOT, env={**group, "WEFT_LAB_RANK": str(rank)})
                   for rank in range(ranks)]
        try:
            for worker in workers:
                if worker.wait() != 0:
                    raise RuntimeError(f"a training process ended with status {worker.returncode}")
        finally:
            for worker in workers:
                if worker.poll() is None:
                    worker.terminate()


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", default="first", choices=sorted(config.PLANS))
    parser.add_argument("--folder", type=Path, help="work folder; default .lab/<plan> in the checkout")
    parser.add_argument("--only", help="one stage, or `evaluate`, or `export`")
    parser.add_argument("--steps", nargs="*", default=[], metavar="STAGE=STEPS")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--ranks", type=int, default=1, help="processes that share the training stages")
    parser.add_argument("--export", type=Path, help="where the checkpoint goes; default models/tiny/instruct, smoke: the work folder")
    args = parser.parse_args(arguments)
    if args.threads:
        torch.set_num_threads(args.threads)
    plan = config.with_steps(config.PLANS[args.plan], {k: int(v) for k, v in (s.split("=") for s in args.steps)})
    folder = args.folder or ROOT / ".lab" / plan.name
    folder.mkdir(parents=True, exist_ok=True)
    stages = [s for s in plan.stages if args.only in (None, s.name)]
    if "WEFT_LAB_RANK" in os.environ:
        train.join(int(os.environ["WEFT_LAB_RANK"]), args.ranks, Path(os.environ["WEFT_LAB_GROUP"]))
        for stage in stages:
            train.Trainer(plan, stage, folder).run()
        return 0
    if args.ranks == 1:
        for stage in stages:
            train.Trainer(plan, stage, folder).run()
    elif stages:
        spread(args.ranks, sys.argv[1:] if arguments is None else arguments)
    if args.only in (None, "export", "evaluate"):
        from . import evaluate, export
        out = args.export or (folder / "instruct" if plan.name == "smoke" else ROOT / "models" / "tiny" / "instruct")
        if args.only != "evaluate":
            export.folder(plan, folder, out)
        evaluate.main(["--model", str(out), "--count", "3" if plan.name == "smoke" else "100", "--json", str(folder / "evaluation.json")])
    return 0


if __name__ == "__main__":
    sys.exit(main())
