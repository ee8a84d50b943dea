"""Time training steps on one machine, and on hosts with a network between them: cnnbook/results/hosts.json.

A host is a network namespace of Linux, with an address of its own; the processes on it reach the others through a
cable alone. The cable is a process, too: it reads each packet from the host that sends it, and hands it to the other
after the time that the packet takes at the given bandwidth, and the given latency. (The kernel's own `netem` would do
the same, but not every kernel has it.) This needs root, Linux with `ip`, and the packages of the extra `cluster`; it
takes a minute or two. The hosts share the cores of one machine, so their processor time is not that of a real cluster.
"""

import contextlib
import ctypes
import fcntl
import heapq
import json
import multiprocessing
import os
import select
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click
import numpy as np

import cnnlib
from cnnlib.data_parallel import Communicator
from cnnlib.files import atomic_write

RESULTS = Path(__file__).parents[1] / "book" / "cnnbook" / "results" / "hosts.json"
ADDRESS, NAME = "10.77.0.{}", "cnnbook-{}"
NETWORKS = ((0.0005, 125e6), (0.0005, 12.5e6), (0.005, 125e6))  # latency in seconds, bandwidth in bytes a second
PROCESSES, BATCHES = (1, 2, 4), (128, 512)
FIXED, PER_IMAGE = 0.0005, 40e-6  # seconds of computing per step, about as here on a core of its own
ROWS, CALLS = 12, 10  # each row of calls is timed as a whole: a process that comes late must not look fast
# MPICH would find out that the hosts are one machine, and pass messages through its memory.
THROUGH_THE_NETWORK = {"MPIR_CVAR_NOLOCAL": "1", "MPIR_CVAR_CH4_NETMOD": "ofi", "FI_PROVIDER": "tcp"}


# What each process does


def serve() -> None:
    """Time messages, the sum over all processes, and training steps; the process 0 prints what it took."""
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    communicator, gradients = Communicator(world), np.zeros(cnnlib.lenet5().parameter_count + 2, np.float32)
    timed = {}
    if world.size > 1:
        timed["message"] = seconds(lambda: there_and_back(world, gradients[:1]), world, 2)
        timed["large message"] = seconds(lambda: there_and_back(world, gradients), world, 2)
        timed["allreduce"] = seconds(lambda: world.Allreduce(gradients, np.empty_like(gradients)), world)
    for N in BATCHES if world.size > 1 else (16, 32, 64, *BATCHES):
        network, rng = cnnlib.lenet5(np.random.default_rng(0)), np.random.default_rng(1)
        x, t = rng.integers(0, 256, (N, 28, 28), dtype=np.uint8), cnnlib.one_hot(rng.integers(0, 10, N), 10)
        fast = network.fused(needs_dx=False, training=True)
        step = partial(fast.train_step, x, t, cnnlib.SGD(0.001), cnnlib.CategoricalCrossEntropy())
        timed[f"step {N}"] = seconds(lambda step=step: step(communicator=communicator), world)
        timed[f"weights {N}"] = float(sum(np.abs(array).sum() for array in network.parameters().values()))
        pause = FIXED + PER_IMAGE * N / world.size
        timed[f"pause {N}"] = seconds(lambda pause=pause: pause_and_add_up(world, gradients, pause), world)
    if world.rank == 0:
        print(json.dumps(timed), flush=True)


def pause_and_add_up(world, gradients: np.ndarray, pause: float) -> None:
    """Do as in a step, with a pause for the time of computing: hosts that share two cores cannot compute at once."""
    time.sleep(pause)
    world.Allreduce(gradients, np.empty_like(gradients))


def there_and_back(world, message: np.ndarray) -> None:
    """Send a message from process 0 to 1, and back; all other processes have nothing to do."""
    if world.rank == 0:
        world.Send(message, 1)
        world.Recv(np.empty_like(message), 1)
    elif world.rank == 1:
        received = np.empty_like(message)
        world.Recv(received, 0)
        world.Send(received, 0)


def seconds(work: Callable[[], object], world, parts: int = 1) -> list[float]:
    """Return the best and the median of the seconds of a call, or of a part of it, in rows of calls without a pause."""
    times = []
    for _ in range(ROWS + 1):
        world.Barrier()
        start = time.perf_counter()
        for _ in range(CALLS):
            work()
        times.append(max(world.allgather(time.perf_counter() - start)) / (CALLS * parts))
    return [float(f"{value:.3g}") for value in (min(times[1:]), np.median(times[1:]))]


# Hosts, and the cable between them


def ip(*arguments: str) -> None:
    """Call `ip`, which manages networks."""
    subprocess.run(["ip", *arguments], check=True)


@contextlib.contextmanager
def hosts(count: int, latency: float, bandwidth: float) -> Iterator[list[str]]:
    """Make hosts with a cable between them, and yield their addresses."""
    names = [NAME.format(i + 1) for i in range(count)]
    addresses = [ADDRESS.format(i + 1) for i in range(count)]
    made = []
    try:
        for name in names:
            ip("netns", "add", name)
            made.append(name)
        ends = [open_end(name, address) for name, address in zip(names, addresses, strict=True)]
        cable = multiprocessing.get_context("fork").Process(target=carry, args=(ends, latency, bandwidth), daemon=True)
        cable.start()
        for end in ends:
            os.close(end)
        yield addresses
        cable.terminate()
        cable.join()
    finally:
        for name in made:
            ip("netns", "del", name)


def open_end(name: str, address: str) -> int:
    """Return the file from which a host's packets are read, and into which those for it are written."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/var/run/netns/{name}", os.O_RDONLY)
    enter = ctypes.CDLL(None, use_errno=True).setns
    if enter(there, 0):
        raise OSError(ctypes.get_errno(), f"cannot enter the namespace {name}")
    try:
        end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(end, 0x400454CA, struct.pack("16sH22x", b"eth0", 0x1001))  # TUNSETIFF: whole IP packets, no header
        ip("addr", "add", f"{address}/24", "dev", "eth0")
        ip("link", "set", "eth0", "mtu", "32000", "up")
        ip("link", "set", "lo", "up")
    finally:
        enter(own, 0)
        os.close(own)
        os.close(there)
    return end


def carry(ends: list[int], latency: float, bandwidth: float) -> None:
    """Move packets from host to host, for ever: each host sends one after the other, and each packet is under way."""
    os.nice(-10)  # a cable does not wait for a core
    clear, under_way, count = [0.0] * len(ends), [], 0  # clear: when the line out of each host is
    while True:
        now = time.perf_counter()
        while under_way and under_way[0][0] <= now:
            _, _, to, packet = heapq.heappop(under_way)
            with contextlib.suppress(BlockingIOError):
                os.write(ends[to], packet)
        wait = max(0.0, under_way[0][0] - time.perf_counter()) if under_way else None
        for end in select.select(ends, [], [], wait)[0]:
            packet, sender = os.read(end, 65536), ends.index(end)
            to = packet[19] - 1  # the last number of the IPv4 address
            if packet[0] >> 4 == 4 and to in range(len(ends)):
                clear[sender] = max(clear[sender], time.perf_counter()) + len(packet) / bandwidth
                heapq.heappush(under_way, (clear[sender] + latency, count := count + 1, to, packet))


# The runs


def mpiexec(processes: int, *options: str, before: tuple[str, ...] = ()) -> dict:
    """Run `serve` in several processes, and return what the first prints."""
    program = [str(Path(sys.executable).parent / "mpiexec"), *options, "-n", str(processes)]
    command = [*before, *program, sys.executable, __file__, "--serve"]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{result.stdout}{result.stderr}")
    return json.loads(result.stdout)


def on_hosts(processes: int, latency: float, bandwidth: float) -> dict:
    """Run `serve` on as many hosts, started as a cluster without Slurm starts it: by a file with their addresses."""
    with hosts(processes, latency, bandwidth) as addresses, tempfile.TemporaryDirectory() as folder:
        names, launcher = Path(folder) / "hosts", Path(folder) / "launcher"
        names.write_text("\n".join(addresses) + "\n")
        # In place of ssh, which gets options, a host, and a command.
        launcher.write_text(
            f'#!/bin/sh\nhost=${{2##*.}}\nshift 2\nexec ip netns exec {NAME.format("$host")} sh -c "$*"\n'
        )
        launcher.chmod(0o755)
        options = ["-f", str(names), "-iface", "eth0", "-launcher", "ssh", "-launcher-exec", str(launcher)]
        options += [part for pair in THROUGH_THE_NETWORK.items() for part in ("-genv", *pair)]
        return mpiexec(processes, *options, before=("ip", "netns", "exec", NAME.format(1)))


@click.command()
@click.option("--serve", "serves", is_flag=True, hidden=True)
def main(serves: bool) -> None:
    """Measure everything and store it."""
    if serves:
        return serve()
    results = {"cores": len(os.sched_getaffinity(0)), "fixed": FIXED, "per_image": PER_IMAGE}
    results |= {"bytes": 4 * (cnnlib.lenet5().parameter_count + 2), "machine": {}, "hosts": []}
    for P in PROCESSES:
        results["machine"][P] = mpiexec(P)
        print(P, results["machine"][P], flush=True)
    for latency, bandwidth in NETWORKS:
        for P in PROCESSES[1:]:
            found = on_hosts(P, latency, bandwidth)
            results["hosts"].append({"latency": latency, "bandwidth": bandwidth, "processes": P, **found})
            print(results["hosts"][-1], flush=True)
    for N in BATCHES:
        sums = [run[f"weights {N}"] for run in [*results["machine"].values(), *results["hosts"]]]
        if np.ptp(sums) > 1e-4 * sums[0]:
            raise RuntimeError(f"the networks differ: {sums}")
    with atomic_write(RESULTS) as file:
        file.write(json.dumps(results, indent=1).encode() + b"\n")


if __name__ == "__main__":
    main()
