"""onnxruntime's LinearAttention operator on its CPU provider: linear, gated, delta, gated delta, and decode."""
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
    rule = "gated" if "gate" in arrays else "linear"
    if "beta" in arrays:
      rule = "delta" if problem["variant"] == "delta" else "gated_delta"
    if "gate" in arrays and rule != "delta":
      inputs["decay"] = arrays["gate"]
    if "beta" in arrays:
      inputs["beta"] = arrays["beta"]
    names += [name if name in inputs else "" for name in ("past", "decay", "beta")]
    outputs = {"output": (batch, tokens, heads * values), "present": (batch, heads, keys, values)}
    super().__init__("LinearAttention", names, inputs, outputs, problem["threads"], q_num_heads=heads,
                     kv_num_heads=heads, scale=float(problem["scale"]),
                     update_rule=rule)
