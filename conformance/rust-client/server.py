"""What the Rust client is tried on: PyPI python-socketio on aiohttp.

Says `listening PORT`, and ends when its standard input does.
"""

import asyncio
import os
import sys
import threading

import socketio
from aiohttp import web

io = socketio.AsyncServer(async_mode="aiohttp", serializer="msgpack" if "--msgpack" in sys.argv else "default")


class Namespace(socketio.AsyncNamespace):
    async def on_connect(self, sid, environ, auth):
        self.auth = auth

    async def on_echo(self, sid, *args):
        return args if len(args) != 1 else args[0]

    async def on_ask(self, sid, *args):
        return await self.call("question", args, to=sid)

    async def on_burst(self, sid, count):
        for n in range(count):
            await self.emit("n", n, to=sid)

    async def on_kick(self, sid, _close):
        await self.disconnect(sid)

    async def on_who(self, sid):
        return {"id": sid, "auth": self.auth, "transport": io.transport(sid, self.namespace)}


class Refusing(socketio.AsyncNamespace):
    async def on_connect(self, sid, environ, auth):
        raise socketio.exceptions.ConnectionRefusedError("no", {"code": 7})


for namespace in (Namespace("/"), Namespace("/custom"), Refusing("/refusing")):
    io.register_namespace(namespace)


async def main():
    app = web.Application()
    io.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print("listening", site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


def end_with_stdin():
    sys.stdin.buffer.read()
    os._exit(0)


threading.Thread(target=end_with_stdin, daemon=True).start()
asyncio.run(main())
