#!/usr/bin/env python3
"""Draws bench/plot.svg: resident memory and the cost of a broadcast against the number of connections.

    bench/plot.py measure LOADGEN CONTRACT    runs the load generator and writes bench/plot.json
    bench/plot.py draw                        draws bench/plot.svg from it

Python's standard library only. The server is pinned to core 0, the generator to core 1.
"""

import json
import math
import random
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
COUNTS = [100, 300, 1000, 3000, 10000]


def run(loadgen, contract, arguments):
    port = random.randrange(20000, 30000)
    server = subprocess.Popen(["taskset", "-c", "0", contract, str(port)])
    try:
        time.sleep(0.7)
        command = ["taskset", "-c", "1", loadgen, "--target", f"127.0.0.1:{port}", "--server-pid", str(server.pid)]
        return json.loads(subprocess.check_output([*command, "--label", "sockeye", *arguments.split()]))
    finally:
        server.terminate()
        server.wait()


def measure(loadgen, contract):
    points = []
    for count in COUNTS:
        idle = run(loadgen, contract, f"--warmup 1 --duration 1 idle -n {count}")
        fanout = run(loadgen, contract, f"--warmup 1 --duration 3 fanout -n {count} -w 1")
        points.append({
            "connections": count,
            "resident_mib": idle["server_memory_end"]["rss"] / 2**20,
            "us_per_recipient": fanout["server_cpu_s_per_million"],
            "of_it_user": fanout["server_user_s_per_million"],
        })
        print(points[-1])
    (HERE / "plot.json").write_text(json.dumps(points, indent=1) + "\n")


WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 420, 260, 56, 16, 34, 42


def panel(x, title, points, curves, top, log):
    """One diagram. `curves`: name, colour, key."""
    low, high = math.log10(COUNTS[0]), math.log10(COUNTS[-1])
    across = lambda n: x + LEFT + (math.log10(n) - low) / (high - low) * (WIDTH - LEFT - RIGHT)
    bottom = math.log10(log) if log else 0
    reach = math.log10(top) if log else top
    height = lambda v: (math.log10(v) if log else v) - bottom
    down = lambda v: HEIGHT - BOTTOM - height(v) / (reach - bottom) * (HEIGHT - TOP - BOTTOM)
    out = [f'<text x="{x + LEFT}" y="18" font-weight="bold">{title}</text>']
    for step in range(5):
        value = 10 ** (bottom + (reach - bottom) * step / 4) if log else top * step / 4
        y = down(value)
        out.append(f'<path d="M{x + LEFT} {y:.1f}H{x + WIDTH - RIGHT}" stroke="#8884"/>')
        out.append(f'<text x="{x + LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for count in COUNTS:
        out.append(f'<text x="{across(count):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{count:,}</text>')
    out.append(f'<text x="{x + (LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">connections</text>')
    for name, colour, key in curves:
        line = " ".join(f"{across(p['connections']):.1f},{down(p[key]):.1f}" for p in points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for p in points:
            out.append(f'<circle cx="{across(p["connections"]):.1f}" cy="{down(p[key]):.1f}" r="3" fill="{colour}"/>')
        last = points[-1]
        out.append(f'<text x="{across(last["connections"]):.1f}" y="{down(last[key]) - 8:.1f}" text-anchor="end" fill="{colour}">{name}</text>')
    return "\n".join(out)


def draw():
    points = json.loads((HERE / "plot.json").read_text())
    cost = max(p["us_per_recipient"] for p in points)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" fill="#777">',
        panel(0, "Resident memory, MiB", points, [("whole server", "#c2410c", "resident_mib")], 64, 4),
        panel(WIDTH, "Broadcast of 64 B: CPU µs per recipient", points,
              [("with the kernel's part", "#c2410c", "us_per_recipient"), ("ours", "#0e7490", "of_it_user")],
              math.ceil(cost * 1.15), None),
        "</svg>",
    ]
    (HERE / "plot.svg").write_text("\n".join(parts) + "\n")


if sys.argv[1:2] == ["measure"] and len(sys.argv) == 4:
    measure(*sys.argv[2:])
    draw()
elif sys.argv[1:] == ["draw"]:
    draw()
else:
    sys.exit(__doc__)
