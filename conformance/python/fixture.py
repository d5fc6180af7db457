"""Starts the fixture servers of CONTRACT.md; what the Python scenarios share."""

import asyncio
import json
import os
import pathlib
import re
import subprocess
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
# Without FIXTURE, npm socket.io stands in: it shows whether a scenario is right.
REFERENCE = ["node", str(HERE.parent / "reference-server" / "server.mjs")]


class Fixture:
    """A server under test. It ends when its standard input does, so nothing is left behind."""

    def __init__(self, *flags):
        program = [os.environ["FIXTURE"]] if "FIXTURE" in os.environ else REFERENCE
        self.process = subprocess.Popen([*program, *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        first = self.process.stdout.readline()
        self.url = "http://127.0.0.1:" + re.fullmatch(r"listening (\d+)\n", first)[1]

    def log(self):
        with urllib.request.urlopen(self.url + "/log", timeout=5) as response:
            return json.load(response)

    def stop(self):
        self.process.stdin.close()
        try:
            code = self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process.stdout.close()
        return code


class Inbox:
    """Everything a client hears on a namespace, in order, event by event."""

    def __init__(self, client, namespace="/"):
        self.events = {}
        client.on("*", self._heard, namespace=namespace)

    async def _heard(self, event, *args):
        self.queue(event).put_nowait(args)

    def queue(self, event):
        return self.events.setdefault(event, asyncio.Queue())

    async def next(self, event):
        return await asyncio.wait_for(self.queue(event).get(), 5)
