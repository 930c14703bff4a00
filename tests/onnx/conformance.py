"""ONNX's LinearAttention (opset 27) by lathe, by the reference evaluator of onnx and by onnxruntime: one answer.

usage: conformance.py LIBRARY HEADER. Ends with 77 and a reason where these packages do not have the operator.
"""

import itertools
import math
import pathlib
import sys

import lathe
import ml_dtypes
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

OPSET = 27
TYPES = {"float32": (np.float32, TensorProto.FLOAT), "float16": (np.float16, TensorProto.FLOAT16),
         "bfloat16": (ml_dtypes.bfloat16, TensorProto.BFLOAT16)}
# Of the largest number of an output. Others sum as they like, in float32, and round once.
TOLERANCE = {"float32": 2e-6, "float16": 1e-3, "bfloat16": 8e-3}
RULES = ("linear", "gated", "delta", "gated_delta")
# B, T, query heads, key and value heads, their widths
SHAPES = ((2, 1, 2, 2, 16, 16), (1, 5, 4, 2, 8, 6), (2, 37, 3, 1, 20, 24), (1, 70, 2, 2, 64, 64), (1, 33, 4, 4, 5, 130))


def inputs_of(rule, shape, past, per_key, one_beta, dtype, seed):
  B, T, HQ, H, K, V = shape
  draw = np.random.default_rng(seed)
  key = draw.standard_normal((B, T, H, K))
  key /= np.linalg.norm(key, axis=-1, keepdims=True)
  arrays = {"query": draw.standard_normal((B, T, HQ * K)), "key": key.reshape(B, T, H * K),
            "value": draw.standard_normal((B, T, H * V))}
  if past:
    arrays["past_state"] = draw.standard_normal((B, H, K, V))
  if "gated" in rule:
    arrays["decay"] = -draw.random((B, T, H * (K if per_key else 1)))
  if "delta" in rule:
    arrays["beta"] = draw.random((B, T, 1 if one_beta else H))
  return {name: array.astype(dtype) for name, array in arrays.items()}


def model_of(arrays, rule, heads, scale, chunk, proto, domain):
  names = [name if name in arrays else ""
           for name in ("query", "key", "value", "past_state", "decay", "beta")]
  attributes = {"update_rule": rule, "q_num_heads": heads[0], "kv_num_heads": heads[1]}
  if scale is not None:
    attributes["scale"] = scale
  if chunk is not None:
    attributes["chunk_size"] = chunk
  node = helper.make_node("LinearAttention", names, ["output", "present_state"], domain=domain, **attributes)
  graph = helper.make_graph(
      [node], "conformance", [helper.make_tensor_value_info(n, proto, a.shape) for n, a in arrays.items()],
      [helper.make_tensor_value_info(n, proto, None) for n in ("output", "present_state")])
  domains = [helper.make_opsetid("", OPSET)] + ([helper.make_opsetid(domain, 1)] if domain else [])
  return helper.make_model(graph, opset_imports=domains, ir_version=10)


def by_lathe(library, arrays, rule, shape, scale):
  B, T, HQ, H, K, V = shape
  dtype = arrays["query"].dtype
  per_key = "decay" in arrays and arrays["decay"].shape[-1] != H
  variant = {"linear": "plain", "gated": "gate_key" if per_key else "gate", "delta": "delta",
             "gated_delta": "kda" if per_key else "gated_delta"}[rule]
  by_role = {"Q": arrays["query"].reshape(B, T, HQ, K), "K": arrays["key"].reshape(B, T, H, K),
             "V": arrays["value"].reshape(B, T, H, V), "O": np.full((B, T, HQ, V), np.nan, dtype),
             "STATE_OUT": np.full((B, H, K, V), np.nan, np.float32)}
  if "past_state" in arrays:
    by_role["STATE_IN"] = arrays["past_state"].astype(np.float32)
  if "decay" in arrays:
    by_role["GATE"] = arrays["decay"].reshape((B, T, H, K) if per_key else (B, T, H))
  if "beta" in arrays:
    by_role["BETA"] = np.broadcast_to(arrays["beta"], (B, T, H))
  library.run("decode" if T == 1 else "causal", variant, 1 / math.sqrt(K) if not scale else scale, by_role)
  return by_role["O"].reshape(B, T, HQ * V), by_role["STATE_OUT"].astype(dtype)


def by_onnxruntime(model, arrays):
  options = onnxruntime.SessionOptions()
  options.log_severity_level = 4
  session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
  return session.run(None, arrays)


def difference(got, want):
  got, want = got.astype(np.float64), want.astype(np.float64)
  return np.abs(got - want).max() / max(np.abs(want).max(), 1e-30)


def cases():
  for rule, shape, past, name in itertools.product(RULES, SHAPES, (False, True), TYPES):
    for per_key in (False, True) if "gated" in rule else (False,):
      for one_beta in (False, True) if "delta" in rule else (False,):
        for scale, chunk in ((None, None), (0.0, 16), (0.3, 64)):
          yield rule, shape, past, name, per_key, one_beta, scale, chunk


def main():
  if onnx.defs.onnx_opset_version() < OPSET:
    print(f"onnx needs opset {OPSET}, and this onnx {onnx.__version__} has {onnx.defs.onnx_opset_version()}")
    return 77
  library = lathe.Lathe(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
  compared, refused, worst, faults = {}, {}, {}, 0
  for number, case in enumerate(cases()):
    rule, shape, past, name, per_key, one_beta, scale, chunk = case
    dtype, proto = TYPES[name]
    arrays = inputs_of(rule, shape, past, per_key, one_beta, dtype, number)
    model = model_of(arrays, rule, shape[2:4], scale, chunk, proto, "")
    got = by_lathe(library, arrays, rule, shape, scale)
    answers = {"onnx's reference": ReferenceEvaluator(model).run(None, arrays)}
    for domain in ("", "com.microsoft") if name != "bfloat16" else ():  # of which it makes no arrays
      judge = f"onnxruntime, domain '{domain}'"
      try:
        answers[judge] = by_onnxruntime(model_of(arrays, rule, shape[2:4], scale, chunk, proto, domain), arrays)
      except Exception as reason:  # what it cannot do it says in types of its own
        refused.setdefault((judge, name, str(reason).splitlines()[0][:120]), []).append(number)
    for judge, want in answers.items():
      compared[judge] = compared.get(judge, 0) + 1
      for part, mine, theirs in zip(("output", "present_state"), got, want):
        error = difference(mine, theirs)
        worst[name] = max(worst.get(name, 0), error)
        if not error <= TOLERANCE[name]:
          faults += 1
          print(f"{judge}, {part} of {case}: differs by {error:.3g} of its largest number, {TOLERANCE[name]} allowed")
  for judge, count in compared.items():
    print(f"{judge}: {count} of {number + 1} cases compared")
  for (judge, name, reason), numbers in refused.items():
    print(f"{judge} did not take {len(numbers)} cases of {name}: {reason}")
  print("largest difference: " + ", ".join(f"{name} {error:.2g}" for name, error in worst.items()))
  return 1 if faults else 0


if __name__ == "__main__":
  sys.exit(main())
