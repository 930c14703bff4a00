"""onnxruntime's LinearAttention operator on its CPU provider: linear, gated, and decode."""
import onnxruntime
from onnx_session import PackedSession
from worker import Unsupported


def version():
  return f"onnxruntime {onnxruntime.__version__}"


class Job(PackedSession):
  def __init__(self, problem, arrays):
    if problem["op"] not in ("causal", "decode"):
      raise Unsupported("has no such operator")
    if problem["map"] != "identity" or problem["normalise"]:
      raise Unsupported("has neither feature maps nor a normaliser")
    if problem["layout"] != "BTHD":
      raise Unsupported("takes [B,T,H*D] only")
    batch, tokens, heads, keys = arrays["q"].shape
    values = arrays["v"].shape[-1]
    inputs = {"query": arrays["q"], "key": arrays["k"], "value": arrays["v"]}
    names = ["query", "key", "value"]
    if problem["op"] == "decode":
      inputs["past"] = arrays["state"]
    if "gate" in arrays:
      inputs["decay"] = arrays["gate"]
    names += ["past" if "past" in inputs else "", "decay" if "decay" in inputs else ""]
    outputs = {"output": (batch, tokens, heads * values), "present": (batch, heads, keys, values)}
    super().__init__("LinearAttention", names, inputs, outputs, problem["threads"], q_num_heads=heads,
                     kv_num_heads=heads, scale=float(problem["scale"]),
                     update_rule="gated" if "gate" in arrays else "linear")
