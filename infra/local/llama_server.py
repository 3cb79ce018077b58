"""Runs the llama.cpp server of the xllamacpp wheel with the flags of `llama-server` that Drover uses."""

import argparse
import os
import signal
import sys
import threading
import time

from xllamacpp import CommonParams, Server, llama_pooling_type


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--alias", default="")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--ctx-size", type=int, default=2048)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--ubatch-size", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--metrics", action="store_true")
    parser.add_argument("--slots", action="store_true")
    parser.add_argument("--embeddings", action="store_true")
    parser.add_argument("--pooling", choices=["mean", "cls", "last"], default="mean")
    return parser.parse_args()


def die_with_parent() -> None:
    """A parent that was killed cannot stop its children; they notice, and go."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def main() -> None:
    args = parse()
    params = CommonParams()
    params.model.path = args.model
    if args.alias:
        params.model_alias = {args.alias}
    params.hostnames = [args.host]
    params.port = args.port
    params.n_parallel = args.parallel
    params.n_ctx = args.ctx_size
    params.n_batch = args.batch_size
    params.n_ubatch = args.ubatch_size
    params.cpuparams.n_threads = args.threads
    params.cpuparams_batch.n_threads = args.threads
    params.endpoint_metrics = args.metrics
    params.endpoint_slots = args.slots
    if args.embeddings:
        params.embedding = True
        params.pooling_type = {
            "mean": llama_pooling_type.LLAMA_POOLING_TYPE_MEAN,
            "cls": llama_pooling_type.LLAMA_POOLING_TYPE_CLS,
            "last": llama_pooling_type.LLAMA_POOLING_TYPE_LAST,
        }[args.pooling]
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: os._exit(0))
    threading.Thread(target=die_with_parent, daemon=True).start()
    server = Server(params)
    print(f"listening on {server.listening_address}", file=sys.stderr, flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
