"""client.py URL CONVERSATION SCENE...: one connection a scene, one JSON line about each."""
import asyncio
import base64
import hashlib
import json
import os
import socket
import struct
import sys
import urllib.parse

import websockets


def told(data):
    op = "text" if isinstance(data, str) else "binary"
    raw = data.encode() if op == "text" else data
    return {"op": op, "size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}


def read(message):
    parts = [base64.b64decode(p) for p in message["parts"]]
    return [p.decode() for p in parts] if message["op"] == "text" else parts


async def echo(ws, report, parts):
    await ws.send(parts if len(parts) > 1 else parts[0])
    report["sent"].append(told(parts[0][:0].join(parts)))
    report["got"].append(told(await ws.recv()))


async def talk(ws, report, conversation):
    for message in conversation:
        await echo(ws, report, read(message))
    await (await ws.ping())
    report["pongs"] += 1
    await ws.close(1000, "done")


async def play(scene, ws, report, conversation):
    if scene == "talk":
        await talk(ws, report, conversation)
    elif scene in ("bye", "server-fin", "server-rst"):
        report["sent"].append(told("please"))
        await ws.send("please")
        try:
            await ws.recv()
        except websockets.ConnectionClosed:
            pass
        await ws.wait_closed()
    else:
        await echo(ws, report, ["still here"])
        if scene == "kill":
            print(json.dumps(report), flush=True)
            await asyncio.Future()
        if scene == "rst":
            ws.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ws.transport.abort()
        await ws.wait_closed()


def tunnel(url):
    """A socket to the server, through a proxy by CONNECT: this version of websockets knows of none."""
    proxy = os.environ.get("WSPROXY_E2E_PROXY")
    if not proxy:
        return {}
    proxy, server = urllib.parse.urlsplit(proxy), urllib.parse.urlsplit(url).netloc
    s = socket.create_connection((proxy.hostname, proxy.port))
    s.sendall(f"CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n\r\n".encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += s.recv(1)
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    return {"sock": s, "server_hostname": server.split(":")[0]} if url.startswith("wss") else {"sock": s}


async def main(url, file, *scenes):
    with open(file) as f:
        conversation = json.load(f)
    for scene in scenes:
        report = {"scene": scene, "sent": [], "got": [], "pongs": 0}
        ws = await websockets.connect(f"{url}/{scene}", origin=url.replace("ws://", "http://"), max_size=None, **tunnel(url))
        await play(scene, ws, report, conversation)
        report["code"], report["reason"] = ws.close_code, ws.close_reason
        print(json.dumps(report), flush=True)


asyncio.run(main(*sys.argv[1:]))
