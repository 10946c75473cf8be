"""Run fedcore against its peers.

    make bench
    python benchmarks/bench.py [--quick] [--only W1 W5] [--turns 3] [--install]

Contestants take turns, each in a process of its own: first every contestant once, then all of
them again, so that a slow minute of the machine falls on everyone. results.json holds the median
over the turns, the machine, the versions and the load.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import work

HERE = Path(__file__).resolve().parent
ENVS = HERE / ".venv"
# environment: the requirement files that are installed into it
TOGETHER = ("base", "torch", "jax", "scikit-learn", "loky", "dask", "mpi4py", "ray")
ALONE = ("flower", "pfl", "fedlab", "fedjax")
MPI = ("torch_ gloo", "mpi")  # contestants that mpiexec starts
FED = ["plain", "torch_", "jax_", "fed serial", "fed vectorized", "fed processes", "fed both"]
PEERS = ["flower_", "pfl_", "fedlab_", "fedjax_"]
CONTESTANTS = {
    "W1": ["plain", "plain shared", "fed serial", "fed processes", "fed spawn", "fed threads",
           "torch_ 1", "torch_ 2", "torch_ gloo", "jax_", "pool ships", "pool holds", "mpi",
           "ray_", "dask_"],
    "W2": ["plain", "fed", "torch_", "jax_", "sklearn_"],
    "W3": [*FED, "fed threads", "jax_ sharded"],
    "W4": FED,
    "W5": ["plain", "fed", "fed engine", "pool", "loky_", "torch_ gloo", "mpi", "ray_", "dask_"],
}  # fmt: skip
# federated peers start slowly: they come where the table has a target for them
ALSO = dict.fromkeys(["W3 MLP, 10 of 100", "W3 softmax, 10 of 100", "W4 100 of 10,000"], PEERS)
RARE = ("pool ships", *PEERS)  # take long: one turn
LIMIT = 150  # seconds for a turn
# one core of arithmetic a process; what starts a server listens on loopback and reports nowhere
SETTINGS = {
    "OPENBLAS_NUM_THREADS": "1", "TQDM_DISABLE": "1", "RAY_USAGE_STATS_ENABLED": "0",
    "FLWR_TELEMETRY_ENABLED": "0", "RAY_DEDUP_LOGS": "0", "PYTHONWARNINGS": "ignore",
}  # fmt: skip


def install():
    """Make the environments; a peer that cannot be installed is left out, with the reason."""
    missing = {}
    for name, files in {"main": TOGETHER, **{n: ("base", n) for n in ALONE}}.items():
        python = ENVS / name / "bin" / "python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
        wanted = [x for f in files for x in ("-r", HERE / "requirements" / f"{f}.txt")]
        done = subprocess.run([python, "-m", "pip", "install", "-q", *wanted], capture_output=True)
        if done.returncode:
            missing[name] = done.stderr.decode().strip().splitlines()[-1]
    return missing


def turn(case, contestant, quick, folder):
    """Let a contestant do its work once; return its result or why there is none."""
    peer = contestant.split()[0].rstrip("_")
    python = ENVS / (peer if peer in ALONE else "main") / "bin" / "python"
    command = [python, HERE / "contest.py", case, *contestant.split(), *["--quick"] * quick]
    if contestant in MPI:
        command = [ENVS / "main" / "bin" / "mpiexec", "-n", "2", *command]
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | SETTINGS
    env |= {"PYTHONPATH": f"{HERE.parent}:{HERE}", "BENCH_DATA": str(folder)}
    env |= {"BENCH_GROUP": f"{os.getpid()}-{time.monotonic_ns()}", "HOME": str(folder)}
    child = subprocess.Popen(
        command, env=env, cwd=folder, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        out, error = child.communicate(timeout=LIMIT)
        return json.loads([line for line in out.splitlines() if line.startswith('{"seconds"')][-1])
    except subprocess.TimeoutExpired:
        return {"error": f"no result within {LIMIT} s"}
    except (IndexError, json.JSONDecodeError):
        return {"error": (error.strip().splitlines() or ["no output"])[-1][:300]}
    finally:
        end(child)


def end(child):
    """End the session of a contestant, whatever it left."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, sign)
        except ProcessLookupError:
            break
        time.sleep(0.2)
    child.wait()


def limits():
    """Return GB/s of a triad and of a sum, GFLOP/s of a product: one process, two together."""
    command = [ENVS / "main" / "bin" / "python", HERE / "limits.py"]
    env = os.environ | SETTINGS

    def together(n):
        runs = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE) for _ in range(n)]
        return np.sum([[float(x) for x in r.communicate()[0].split()] for r in runs], axis=0)

    rates = np.transpose([together(1), together(2)]).round(2).tolist()
    return dict(zip(("triad", "sum", "product"), rates))


def machine():
    """Return what the numbers depend on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [x.split(":")[1].strip() for x in lines if x.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": names[0] if names else platform.processor(),
        "cores": cores,
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def versions():
    """Return the pinned version of every requirement."""
    lines = [x for f in (HERE / "requirements").glob("*.txt") for x in f.read_text().splitlines()]
    return dict(sorted(x.split("==") for x in lines if "==" in x))


def median(turns):
    """Return the median of every number over the turns, or the error of the last."""
    good = [t for t in turns if "error" not in t]
    if not good:
        return turns[-1]
    row = {k: float(np.median([t[k] for t in good])) for k in good[0] if good[0][k] is not None}
    return {k: float(f"{v:.5g}") for k, v in row.items()} | {"turns": len(good)}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, one turn: a rehearsal")
    parser.add_argument("--only", nargs="+", default=[], help="W1, or 'W4 10 of 1,000', ...")
    parser.add_argument("--peers", nargs="+", default=[], help="contestants, 'fed serial' ...")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--install", action="store_true", help="make the environments first")
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    args = parser.parse_args()
    missing = install() if args.install else {}
    cases = [c for c in work.CASES if not args.only or any(c.startswith(o) for o in args.only)]
    old = json.loads(args.out.read_text()) if args.out.exists() else {}
    result = {"machine": machine(), "versions": versions(), "missing": missing}
    result |= {
        "load": [*(old.get("load", []) if args.only else []), os.getloadavg()[0]],
        "limits": limits(),
        "cases": old.get("cases", {}),
    }
    folder = Path(tempfile.mkdtemp(prefix="bench"))
    try:
        for case in cases:
            result["cases"][case] = table(case, args, folder)
            shutil.rmtree(folder / "data", ignore_errors=True)
            result["load"].append(os.getloadavg()[0])
            args.out.write_text(json.dumps(result, indent=1) + "\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def table(case, args, folder):
    """Return contestant -> medians over the turns."""
    names = CONTESTANTS[case[:2]] + ALSO.get(case, [])
    names = [c for c in names if not args.peers or c in args.peers]
    turns = {name: [] for name in names}
    for i in range(1 if args.quick else args.turns):
        for name in names:
            tired = turns[name] and ("error" in turns[name][-1] or name in RARE)
            if not tired:
                turns[name].append(turn(case, name, args.quick, folder))
                print(case, name, i, turns[name][-1], flush=True)
    return {name: median(t) for name, t in turns.items()}


if __name__ == "__main__":
    main()
