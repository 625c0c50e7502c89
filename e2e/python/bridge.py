"""bridge.py ADDR SUBPROTOCOL: a client of a bridge that has an echo of bytes behind it, in binary or base64."""
import asyncio
import base64
import hashlib
import sys

import websockets


async def main(address, protocol):
    sent = b"".join(hashlib.sha512(str(n).encode()).digest() for n in range(5000))
    got = b""
    async with websockets.connect(f"ws://{address}/websockify", subprotocols=[protocol], compression=None) as ws:
        if ws.subprotocol != protocol:
            raise SystemExit(f"the subprotocol is {ws.subprotocol}")

        async def send():
            for at in range(0, len(sent), 7000):
                part = sent[at : at + 7000]
                await ws.send(part if protocol == "binary" else base64.b64encode(part).decode())

        sending = asyncio.create_task(send())
        while len(got) < len(sent):
            message = await ws.recv()
            got += message if protocol == "binary" else base64.b64decode(message)
        await sending
        await (await ws.ping(b"beat"))
    if got != sent:
        raise SystemExit("what came back differs")
    print("echoed", len(got), ws.close_code, flush=True)


asyncio.run(main(*sys.argv[1:]))
