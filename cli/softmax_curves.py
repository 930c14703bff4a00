"""Times softmax attention of onnxruntime for the demo: softmax_curves.py FOLDER REQUEST.

FOLDER holds the sessions of the benchmark's peers (bench/peers); REQUEST is one JSON object. Every point is one line
of JSON on the standard output as soon as it is known. A call is repeated for a while and its best time counts.
"""
import json
import math
import os
import sys
import time

sys.path.insert(0, sys.argv[1])
import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx_session import PackedSession

REQUEST = json.loads(sys.argv[2])
HEADS, WIDTH, THREADS = REQUEST["heads"], REQUEST["width"], REQUEST["threads"]


class CausalSession:
  """GroupQueryAttention with a group of one: the faster of the causal operators, MultiHeadAttention the other."""

  def __init__(self, tokens, threads):
    packed, cache = [1, tokens, HEADS * WIDTH], [1, HEADS, tokens, WIDTH]
    floats = {"query": packed, "key": packed, "value": packed}
    outputs = {"output": packed, "present_key": cache, "present_value": cache}
    lengths = {"last_token": np.array([tokens - 1], np.int32), "tokens": np.array([tokens], np.int32)}
    node = helper.make_node("GroupQueryAttention", ["query", "key", "value", "", "", "last_token", "tokens"],
                            list(outputs), domain="com.microsoft", num_heads=HEADS, kv_num_heads=HEADS)
    declare = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph([node], "causal", [declare(*item) for item in floats.items()],
                              [declare(*item) for item in outputs.items()],
                              [helper.make_tensor(name, TensorProto.INT32, [1], value)
                               for name, value in lengths.items()])
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # As in the benchmark's sessions; where something else runs too, spinning only makes it slower.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    self.session = onnxruntime.InferenceSession(helper.make_model(graph, opset_imports=domains, ir_version=9)
                                                .SerializeToString(), options, providers=["CPUExecutionProvider"])
    self.binding = self.session.io_binding()
    for name, shape in floats.items():
      self.binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(random(*shape)))
    for name, shape in outputs.items():
      self.binding.bind_ortvalue_output(name, onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32)))

  def run(self):
    self.session.run_with_iobinding(self.binding)


def say(**point):
  print(json.dumps(point), flush=True)


def random(*shape):
  return np.random.default_rng(1).standard_normal(shape, dtype=np.float32)


def unmasked(tokens, threads):
  # Another answer, and twice the work; but only without a mask does this operator take its flash path.
  inputs = {name: random(1, tokens, HEADS, WIDTH) for name in ("query", "key", "value")}
  return PackedSession("MultiHeadAttention", list(inputs), inputs, {"output": (1, tokens, HEADS * WIDTH)}, threads,
                       num_heads=HEADS, scale=1 / math.sqrt(WIDTH))


def cached(tokens, threads):
  # Keys and values as [B,H,T,D] are the cache itself: nothing is copied, and to append to it is not charged.
  inputs = {"query": random(1, 1, HEADS, WIDTH), "cached_key": random(1, HEADS, tokens, WIDTH),
            "cached_value": random(1, HEADS, tokens, WIDTH)}
  return PackedSession("MultiHeadAttention", list(inputs), inputs, {"output": (1, 1, HEADS * WIDTH)}, threads,
                       num_heads=HEADS, scale=1 / math.sqrt(WIDTH))


def best_seconds(session, at_least):
  session.run()
  best, start = math.inf, time.perf_counter()
  while True:
    before = time.perf_counter()
    session.run()
    after = time.perf_counter()
    best = min(best, after - before)
    if after - start > at_least:
      return best


def generation(curve, build):
  for length in REQUEST["lengths"]:
    for i in range(REQUEST["positions"]):
      position = round((i + 0.5) * length / REQUEST["positions"])
      # A short call is often faster on one thread, and the better of the two counts.
      counts = {1, THREADS} if curve == "cached" or position < 256 else {THREADS}
      seconds = min(best_seconds(build(position, threads), 0.02) for threads in sorted(counts))
      say(curve=curve, length=length, position=position, seconds=seconds)


def scores_fit(tokens):
  free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
  return 4 * HEADS * tokens * tokens < free / 2


def sweep(curve, build, all_scores, allowed):
  start, last = time.perf_counter(), 0
  for tokens in REQUEST["sweep"]:
    left = allowed - (time.perf_counter() - start)
    if all_scores and not scores_fit(tokens):
      return say(curve=curve, tokens=tokens, stopped="its scores would not fit in half of the free memory")
    # Twice as many tokens take four times as long, and a first run comes before the timed one.
    if 8 * last > left:
      return say(curve=curve, tokens=tokens, stopped=f"the {allowed:g} s allowed would not do")
    last = best_seconds(build(tokens, THREADS), min(0.3, left / 8))
    say(curve=curve, tokens=tokens, seconds=last)


say(version=f"onnxruntime {onnxruntime.__version__}")
generation("cached", cached)
generation("stateless", CausalSession)
sweep("causal", CausalSession, True, REQUEST["seconds"])
sweep("unmasked", unmasked, False, REQUEST["seconds"] / 2)
