#!/usr/bin/env python3
"""What a load generator itself costs: `sockeye bench` beside the one that the project is judged with.

    bench/generators.py --sockeye target/release/sockeye --loadgen …/loadgen \
        --server "Sockeye=target/release/contract {port}" --server "Node ws=node …/server.js {port}"

Both drive the same server in alternation, server and generator on a processor of their own (taskset). Prints a Markdown
table of processor microseconds for each answer, delivery or cycle: the generator's, and the server's as it saw it.
"""
import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time

# Name; the arguments of `sockeye bench`; those of loadgen; what loadgen calls the thing it counts.
CASES = [
    ("echo, 100 clients, 1 in flight", "echo -n 100", "echo -n 100 -w 1", "messages"),
    ("the same, 16 in flight", "echo -n 100 -w 16", "echo -n 100 -w 16", "messages"),
    ("broadcast to 1,000", "broadcast -n 1000", "fanout -n 1000 -w 1", "deliveries"),
    ("the same, 8 under way", "broadcast -n 1000 -w 8", "fanout -n 1000 -w 8", "deliveries"),
    ("long-polling, 100 clients", "polling -n 100", "polling -n 100 -w 1", "messages"),
    ("64 KiB attachment, 16 clients", "binary -n 16 --payload 65536", "binary -n 16 -w 1", "messages"),
    ("connect, echo, leave; 64 at a time", "churn -n 64", "churn -n 64 --cycles {cycles}", "cycles"),
]


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sockeye", required=True)
    parser.add_argument("--loadgen", required=True)
    parser.add_argument("--server", action="append", required=True, help="NAME=COMMAND with {port}")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    return parser.parse_args()


def free_port():
    # Below the ports that clients get: one of those may be taken by the connections of the run before.
    while True:
        port = random.randrange(20000, 30000)
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) != 0:
                return port


def start(command):
    port = free_port()
    server = subprocess.Popen(["taskset", "-c", "0", *command.format(port=port).split()], stdout=subprocess.DEVNULL)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return server, port
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{command} does not listen")


def output(command):
    run = subprocess.run(["taskset", "-c", "1", *command], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)}: {run.stderr}")
    return json.loads(run.stdout.strip().splitlines()[-1])


def sockeye(given, port, pid, arguments):
    url = f"http://127.0.0.1:{port}"
    report = output([given.sockeye, "bench", url, *arguments.split(), "--threads", "1", "--json", "--pid", str(pid),
                     "--warmup", "500ms", "--duration", f"{given.seconds}s"])
    assert report["errors"] == 0, report
    return report["generator"]["cpu_us_each"], report["server"]["cpu_us_each"], report["rate"]


def loadgen(given, port, pid, arguments, counted):
    # About as long as the others, on a server of 15,000 cycles a second; a slow one takes longer.
    arguments = arguments.format(cycles=int(8000 * given.seconds))
    timing = [] if arguments.startswith("churn") else ["--warmup", "0.5", "--duration", str(given.seconds)]
    report = output([given.loadgen, *arguments.split(), "--target", f"127.0.0.1:{port}", "--server-pid", str(pid), *timing])
    each = report["client_cpu_share"] * report["elapsed_s"] / report[counted] * 1e6
    return each, report["server_cpu_s_per_million"], report[counted] / report["elapsed_s"]


def main():
    given = options()
    os.environ["NODE_ENV"] = "production"
    print("| case | server | `sockeye bench` µs | loadgen µs | server µs, seen by either | a second, by either |")
    print("|---|---|---|---|---|---|")
    for name, ours, theirs, counted in CASES:
        if given.only not in name:
            continue
        for at in given.server:
            label, command = at.split("=", 1)
            runs = []
            for turn in range(given.rounds):
                server, port = start(command)
                try:
                    # Whoever comes second finds a server that is warm, which matters to Node's compiler.
                    first = loadgen(given, port, server.pid, theirs, counted) if turn % 2 else None
                    own = sockeye(given, port, server.pid, ours)
                    runs.append((own, first or loadgen(given, port, server.pid, theirs, counted)))
                finally:
                    server.kill()
                    server.wait()
            middle = lambda generator, figure: statistics.median(run[generator][figure] for run in runs)
            print(f"| {name} | {label} | **{middle(0, 0):.2f}** | {middle(1, 0):.2f} | {middle(0, 1):.1f}, {middle(1, 1):.1f} "
                  f"| {middle(0, 2):,.0f}, {middle(1, 2):,.0f} |", flush=True)


main()
