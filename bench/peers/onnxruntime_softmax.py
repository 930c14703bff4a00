"""onnxruntime's MultiHeadAttention with a causal mask: softmax attention, another operator, on the same tensors."""
import math

import onnxruntime
from onnx_session import PackedSession
from worker import Unsupported


def version():
  return f"onnxruntime {onnxruntime.__version__}"


class Job(PackedSession):
  def __init__(self, problem, arrays):
    if problem["op"] != "softmax":
      raise Unsupported("has no such operator")
    if problem["layout"] != "BTHD":
      raise Unsupported("takes [B,T,H*D] only")
    batch, tokens, heads, keys = arrays["q"].shape
    inputs = {"query": arrays["q"], "key": arrays["k"], "value": arrays["v"]}
    outputs = {"output": (batch, tokens, heads * arrays["v"].shape[-1])}
    super().__init__("MultiHeadAttention", list(inputs), inputs, outputs, problem["threads"], num_heads=heads,
                     unidirectional=1, scale=1 / math.sqrt(keys))
