"""Runs one Python peer for the benchmark: worker.py PEER THREADS, driven over its standard streams.

A command is one line of JSON, and so is its answer. After `setup` come the bytes of the inputs, after the answer to
`output` those of the result. Between commands the process sleeps in a read, so it never runs while another one is
timed. Inputs lie in this process's own memory, as they would for a user of the peer.
"""
import importlib
import json
import os
import sys
import time


class Unsupported(Exception):
  """The peer cannot do this problem; the text says why."""


def limit_threads(threads):
  # Before the libraries load: OpenBLAS and OpenMP read these once.
  for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = str(threads)
  os.environ["OMP_WAIT_POLICY"] = "passive"


def read_inputs(np, stream, inputs):
  arrays = {}
  for name, shape in inputs:
    arrays[name] = np.empty(shape, np.float32)
    view = memoryview(arrays[name]).cast("B")
    if stream.readinto(view) != len(view):
      raise EOFError(name)
  return arrays


def serve(peer, np, commands, answers):
  def answer(message):
    answers.write(json.dumps(message).encode() + b"\n")
    answers.flush()

  job = None
  for line in iter(commands.readline, b""):
    command = json.loads(line)
    if command["do"] == "setup":
      arrays = read_inputs(np, commands, command["inputs"])
      try:
        job = peer.Job(command, arrays)
        answer({"ok": True, "note": job.note})
      except Unsupported as reason:
        answer({"ok": False, "why": str(reason)})
    elif command["do"] == "run":
      run = job.run
      start = time.perf_counter_ns()
      for _ in range(command["repeats"]):
        run()
      answer({"ns": time.perf_counter_ns() - start})
    elif command["do"] == "output":
      output = np.ascontiguousarray(job.output())
      answer({"bytes": output.nbytes})
      answers.write(memoryview(output).cast("B"))
      answers.flush()


def main():
  limit_threads(int(sys.argv[2]))
  # A library that prints must not end up in the answers.
  answers = os.fdopen(os.dup(1), "wb")
  os.dup2(2, 1)
  sys.modules["worker"] = sys.modules["__main__"]
  try:
    peer = importlib.import_module(sys.argv[1])
    np = importlib.import_module("numpy")
  except ImportError as reason:
    answers.write(json.dumps({"ok": False, "why": str(reason)}).encode() + b"\n")
    return 0
  answers.write(json.dumps({"ok": True, "note": peer.version()}).encode() + b"\n")
  answers.flush()
  serve(peer, np, sys.stdin.buffer, answers)
  return 0


if __name__ == "__main__":
  sys.exit(main())
