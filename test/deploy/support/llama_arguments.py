"""Has the real llama.cpp read the arguments of llama-server, and exits with 1 when it refuses them.

The wheel has llama.cpp's own parser, but no Python name for it: it is called by its symbol, on the parameters that the wheel's
object holds after its header of 16 bytes.
"""

import ctypes
import os
import pathlib
import sys

import xllamacpp

LIBRARY = next(pathlib.Path(xllamacpp.__file__).parent.glob("*.so"))
PARSE = "_Z19common_params_parseiPPcR13common_params13llama_examplePFviS0_E"
# LLAMA_EXAMPLE_SERVER of common.h: the only one of its enumeration that takes `--alias` and `--metrics`.
SERVER = 12
HEADER_BYTES = 16

parse = getattr(ctypes.CDLL(str(LIBRARY)), PARSE)
parse.restype = ctypes.c_bool
arguments = ["llama-server", *sys.argv[1:]]
params = xllamacpp.CommonParams()
read = parse(
    len(arguments),
    (ctypes.c_char_p * (len(arguments) + 1))(*[argument.encode() for argument in arguments], None),
    ctypes.c_void_p(id(params) + HEADER_BYTES),
    SERVER,
    None,
)
# Without the destructors: what is to be known is known.
os._exit(0 if read else 1)
