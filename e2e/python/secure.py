"""secure.py URL TEXT: one message to and fro, with the certificates that SSL_CERT_FILE names."""
import asyncio
import ssl
import sys

import websockets


async def main(url, text):
    async with websockets.connect(url, ssl=ssl.create_default_context()) as ws:
        await ws.send(text)
        print(await ws.recv(), flush=True)


asyncio.run(main(*sys.argv[1:]))
