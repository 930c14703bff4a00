"""Chunked causal linear attention in eager PyTorch, all heads of a batch at once; the fastest of a few chunk lengths."""
import time

import torch
from worker import Unsupported

CHUNKS = (32, 64, 128, 256)


def version():
  return f"torch {torch.__version__}"


class Job:
  def __init__(self, problem, arrays):
    if problem["op"] != "causal" or problem["map"] not in ("identity", "elu1") or problem["scale"] != 1:
      raise Unsupported("raced on the plain causal form only")
    torch.set_num_threads(problem["threads"])
    self.mapped = problem["map"] == "elu1"
    self.normalise, self.eps = problem["normalise"], problem["eps"]
    views = [torch.from_numpy(arrays[name]) for name in "qkv"]
    # [B,H,T,D] views of either layout.
    self.by_head = problem["layout"] == "BHTD"
    self.views = views if self.by_head else [view.transpose(1, 2) for view in views]
    self.chunk, best = CHUNKS[0], None
    for chunk in CHUNKS:
      self.chunk = chunk
      seconds = min(self.timed() for _ in range(3))
      if best is None or seconds < best[0]:
        best = seconds, chunk
    self.chunk = best[1]
    self.note = f"eager, C={self.chunk}"

  def timed(self):
    start = time.perf_counter()
    self.run()
    return time.perf_counter() - start

  def output(self):
    return (self.result if self.by_head else self.result.transpose(1, 2)).contiguous().numpy()

  @torch.inference_mode()
  def run(self):
    q, k, v = self.views
    if self.mapped:
      q, k = torch.nn.functional.elu(q) + 1, torch.nn.functional.elu(k) + 1
    state, z, rows = 0, 0, []
    for t in range(0, q.shape[2], self.chunk):
      qc, kc, vc = (a[:, :, t:t + self.chunk] for a in (q, k, v))
      scores = torch.tril(qc @ kc.transpose(2, 3))
      out = scores @ vc
      if t > 0:
        out += qc @ state
      if self.normalise:
        old = (qc @ z if t > 0 else 0) + self.eps
        out /= scores.sum(3, keepdim=True) + old
        z = z + kc.sum(2)[..., None]
      state = state + kc.transpose(2, 3) @ vc
      rows.append(out)
    self.result = torch.cat(rows, 2)
