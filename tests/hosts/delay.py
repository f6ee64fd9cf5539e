#!/usr/bin/env python3
"""delay.py MILLISECONDS A B: a cable between two network interfaces that takes so long each way.

Stands for `tc qdisc ... netem delay`, which many kernels are built without. Packets keep the kernel's notes on their
checksum and segmentation (a virtio header), since what a namespace sends is often neither summed nor cut yet.
"""
import collections
import select
import socket
import sys
import time

SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING, SO_RCVBUFFORCE = 263, 15, 23, 33  # as in Linux's headers
ALL_PROTOCOLS = 3
LARGEST_BYTES = 10 + 14 + 65535  # virtio header, Ethernet header, a packet that is not cut yet


def open_end(name):
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
    end.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    end.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    end.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    end.bind((name, 0))
    end.setblocking(False)
    return end


def receive(end, under_way, due):
    try:
        while True:
            under_way.append((due, end.recv(LARGEST_BYTES)))
    except BlockingIOError:
        pass


def main():
    delay = float(sys.argv[1]) / 1000
    ends = [open_end(name) for name in sys.argv[2:4]]
    under_way = [collections.deque(), collections.deque()]  # by the end where they came in
    print("ready", flush=True)
    while True:
        first = min((queue[0][0] for queue in under_way if queue), default=None)
        wait = None if first is None else max(0, first - time.monotonic())
        for end in select.select(ends, [], [], wait)[0]:
            receive(end, under_way[ends.index(end)], time.monotonic() + delay)
        for queue, out in zip(under_way, reversed(ends)):
            while queue and queue[0][0] <= time.monotonic():
                try:
                    out.send(queue.popleft()[1])
                except OSError:
                    pass  # a cable loses what does not fit


main()
