"""One operator of the com.microsoft domain as a session with every input and output bound once."""
import numpy as np
import onnxruntime
from onnx import TensorProto, helper


class PackedSession:
  note = ""

  def __init__(self, operator, names, inputs, outputs, threads, **attributes):
    # Operators of this family take heads packed into the last dimension; states stay four-dimensional.
    inputs = {name: pack(array) if name in ("query", "key", "value") else array for name, array in inputs.items()}
    node = helper.make_node(operator, names, list(outputs), domain="com.microsoft", **attributes)
    graph = helper.make_graph([node], operator, [declare(name, array.shape) for name, array in inputs.items()],
                              [declare(name, shape) for name, shape in outputs.items()])
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=domains, ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Its idle threads would otherwise spin into the other side of a pair.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    self.session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                                providers=["CPUExecutionProvider"])
    self.binding = self.session.io_binding()
    self.inputs = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in inputs.items()}
    self.results = {name: onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32))
                    for name, shape in outputs.items()}
    for name, value in self.inputs.items():
      self.binding.bind_ortvalue_input(name, value)
    for name, value in self.results.items():
      self.binding.bind_ortvalue_output(name, value)

  def run(self):
    self.session.run_with_iobinding(self.binding)

  def output(self):
    return self.results["output"].numpy()


def pack(array):
  return array.reshape(array.shape[0], array.shape[1], -1)


def declare(name, shape):
  return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
