"""Run llama.cpp's server at 127.0.0.1 until it is killed: python scripts/llama_server.py PORT MODEL [PROJECTOR].

For an environment with xllamacpp, a wheel that holds llama.cpp's own server. MODEL and PROJECTOR are GGUF files;
without the projector of pictures the model takes text only.
"""

import signal
import sys

import xllamacpp

params = xllamacpp.CommonParams()
params.port = int(sys.argv[1])
params.model.path = sys.argv[2]
if len(sys.argv) > 3:
    params.mmproj.path = sys.argv[3]
params.model_alias = {"tiny"}
params.n_ctx = 8192
params.n_parallel = 2
params.cpuparams.n_threads = 1
params.cpuparams_batch.n_threads = 1
params.use_jinja = True
params.image_min_tokens, params.image_max_tokens = 4, 16  # as the tiny model was taught
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
signal.pause()
