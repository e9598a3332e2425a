"""Calls the server of this folder: `client.py [HOST:PORT] [TEXT]`."""

import sys

import grpc

address, text = (sys.argv[1:] + ["127.0.0.1:8085", "hello"][len(sys.argv) - 1:])[:2]

with grpc.insecure_channel(address) as channel:
    print(channel.unary_unary("/example.Echo/Say")(text.encode(), timeout=60).decode())
    for message in channel.unary_stream("/example.Echo/Repeat")(text.encode(), timeout=60):
        print(message.decode())
