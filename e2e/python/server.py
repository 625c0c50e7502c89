"""An echo server; prints "listening HOST:PORT" and ends when its standard input does."""
import asyncio
import socket
import struct
import sys

import websockets


async def serve(ws):
    try:
        async for message in ws:
            if ws.path == "/bye":
                return await ws.close(1001, "going away now")
            if ws.path == "/server-rst":
                ws.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if ws.path in ("/server-fin", "/server-rst"):
                return ws.transport.abort()
            await ws.send(message)
    except websockets.ConnectionClosed:
        pass


async def main():
    async with websockets.serve(serve, "127.0.0.1", 0, max_size=None) as server:
        print("listening %s:%d" % server.sockets[0].getsockname(), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
