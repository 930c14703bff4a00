"""Chunked linear attention in a few lines of NumPy on OpenBLAS: what a careful user would write.

One chunk is three matrix products and a masked score, over all heads at once or head by head. Both ways and several
chunk lengths are tried at set-up, and the fastest is raced.
"""
import time

import numpy as np
from worker import Unsupported

CHUNKS = (16, 32, 48, 64, 96, 128, 256)
BLOCK = 512


def version():
  return f"numpy {np.__version__}"


def elu1(x):
  mapped = np.minimum(x, 0)
  np.exp(mapped, out=mapped)
  mapped += np.maximum(x, 0)
  return mapped


def identity(x):
  return x


class Job:
  def __init__(self, problem, arrays):
    if problem["op"] not in ("causal", "noncausal"):
      raise Unsupported("the chunked form is raced on causal and non-causal only")
    if problem["map"] not in ("identity", "elu1"):
      raise Unsupported("has no such feature map")
    if problem["scale"] != 1:
      raise Unsupported("raced without a scale")
    self.map = {"identity": identity, "elu1": elu1}[problem["map"]]
    self.normalise, self.eps = problem["normalise"], np.float32(problem["eps"])
    q, k, v = (arrays[name] for name in "qkv")
    self.result = np.empty(q.shape[:-1] + v.shape[-1:], np.float32)
    by_head = problem["layout"] == "BHTD"
    # [B,H,T,D] views of either layout: BLAS takes any row stride.
    self.views = [a if by_head else a.transpose(0, 2, 1, 3) for a in (q, k, v, self.result)]
    if problem["op"] == "noncausal":
      self.run, self.note = self.whole, f"blocks of {BLOCK}"
      return
    best = None
    for per_head in (False, True):
      for chunk in CHUNKS:
        if chunk > max(32, q.shape[1] if not by_head else q.shape[2]):
          continue
        self.prepare(chunk, per_head)
        seconds = min(self.timed() for _ in range(3))
        if best is None or seconds < best[0]:
          best = seconds, chunk, per_head
    self.prepare(*best[1:])
    self.run = self.causal
    self.note = f"C={best[1]} {'head by head' if best[2] else 'all heads at once'}"

  def timed(self):
    start = time.perf_counter()
    self.causal()
    return time.perf_counter() - start

  def output(self):
    return self.result

  def prepare(self, chunk, per_head):
    heads = 1 if per_head else self.views[0].shape[1]
    keys, values = self.views[0].shape[-1], self.views[2].shape[-1]
    self.chunk, self.heads = chunk, heads
    self.mask = np.tril(np.ones((chunk, chunk), np.float32))
    self.scores = np.empty((heads, chunk, chunk), np.float32)
    self.state = np.empty((heads, keys, values), np.float32)
    self.outer = np.empty((heads, keys, values), np.float32)
    self.old = np.empty((heads, chunk, values), np.float32)
    self.z = np.empty((heads, keys, 1), np.float32)

  def causal(self):
    batch, heads, tokens, _ = self.views[0].shape
    for b in range(batch):
      for h in range(0, heads, self.heads):
        self.state[:] = 0
        self.z[:] = 0
        q, k, v, o = (a[b, h:h + self.heads] for a in self.views)
        for t in range(0, tokens, self.chunk):
          cut = slice(t, min(t + self.chunk, tokens))
          self.step(self.map(q[:, cut]), self.map(k[:, cut]), v[:, cut], o[:, cut])

  def step(self, q, k, v, o):
    n = q.shape[1]
    scores, old, mask = self.scores[:, :n, :n], self.old[:, :n], self.mask[:n, :n]
    k_transposed = k.transpose(0, 2, 1)
    np.matmul(q, k_transposed, out=scores)
    np.multiply(scores, mask, out=scores)
    np.matmul(scores, v, out=o)
    np.matmul(q, self.state, out=old)
    np.add(o, old, out=o)
    np.matmul(k_transposed, v, out=self.outer)
    self.state += self.outer
    if self.normalise:
      o /= scores.sum(2, keepdims=True) + np.matmul(q, self.z) + self.eps
      self.z += k.sum(1)[:, :, None]

  def whole(self):
    for b in range(self.views[0].shape[0]):
      for h in range(self.views[0].shape[1]):
        q, k, v, o = (a[b, h] for a in self.views)
        outer, z = 0, 0
        # In blocks, so that what a map writes is still in the cache when it is read.
        for t in range(0, len(k), BLOCK):
          mapped = self.map(k[t:t + BLOCK])
          outer += mapped.T @ v[t:t + BLOCK]
          if self.normalise:
            z += mapped.sum(0)
        for t in range(0, len(q), BLOCK):
          mapped, out = self.map(q[t:t + BLOCK]), o[t:t + BLOCK]
          np.matmul(mapped, outer, out=out)
          if self.normalise:
            out /= (mapped @ z + self.eps)[:, None]
