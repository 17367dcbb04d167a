"""Parts of a measurement that end in every way; without torch, which takes a new process seconds to import."""

import os
import threading


def work(size):
    return {"twice": 2 * size}


def check(size):
    return {"holds": False}


def fail(size):
    raise ValueError(f"{size} is too much")


def die(size):
    os._exit(3)


def hang(size):
    threading.Event().wait()
