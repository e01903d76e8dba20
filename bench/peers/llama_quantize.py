"""What llama.cpp makes of a GGUF file: python3 llama_quantize.py FOLDER INPUT.gguf OUTPUT.gguf TYPE

FOLDER is where node-llama-cpp is installed, which brings llama.cpp's libraries; TYPE is a number of the format (7: q8_0, 14: q4_k_s).
"""

import ctypes
import glob
import os
import sys


class Params(ctypes.Structure):
    """The first two fields; the library fills in the others."""

    _fields_ = [("threads", ctypes.c_int32), ("file_type", ctypes.c_int32), ("others", ctypes.c_char * 240)]


folder, source, target, file_type = sys.argv[1:5]
bins = glob.glob(os.path.join(folder, "node_modules/@node-llama-cpp/linux-x64/bins/linux-x64"))[0]
for name in ("libggml-base*.so", "libggml.*.so", "libllama.*.so"):
    library = ctypes.CDLL(sorted(glob.glob(os.path.join(bins, name)))[0], mode=ctypes.RTLD_GLOBAL)
library.llama_model_quantize_default_params.restype = Params
library.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(Params)]
library.llama_model_quantize.restype = ctypes.c_uint32
library.llama_backend_init()
params = library.llama_model_quantize_default_params()
params.threads = 1
params.file_type = int(file_type)
sys.exit(library.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params)))
