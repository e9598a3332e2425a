"""Sends each message of a WebSocket back to all that are connected."""

import asyncio
import os

import websockets

everybody = set()


async def chat(socket):
    everybody.add(socket)
    try:
        async for message in socket:
            for one in list(everybody):
                await one.send(message)
    except websockets.ConnectionClosed:
        pass  # it left without a word
    finally:
        everybody.discard(socket)


async def main():
    async with websockets.serve(chat, "127.0.0.1", int(os.environ["PORT"])):
        await asyncio.Future()


asyncio.run(main())
