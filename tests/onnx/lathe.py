"""lathe's C interface by ctypes, as much of it as a call takes. Names and numbers are read from lathe.h."""

import ctypes as c
import re


def enumerators(header):
  text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.DOTALL)
  return {name: int(value) for name, value in re.findall(r"LATHE_(\w+) = (\d+)\b(?! <<)", text)}


class Tensor(c.Structure):
  _fields_ = [("data", c.c_void_p), ("device_type", c.c_int32), ("device_id", c.c_int32), ("ndim", c.c_int32),
              ("code", c.c_uint8), ("bits", c.c_uint8), ("lanes", c.c_uint16), ("shape", c.POINTER(c.c_int64)),
              ("strides", c.POINTER(c.c_int64)), ("byte_offset", c.c_uint64)]


class Argument(c.Structure):
  _fields_ = [("role", c.c_uint32), ("tensor", c.POINTER(Tensor))]


class Description(c.Structure):
  _fields_ = [("size", c.c_uint32), ("op", c.c_char_p), ("variant", c.c_char_p), ("map", c.c_char_p),
              ("scale", c.c_float), ("eps", c.c_float), ("flags", c.c_uint64), ("attrs", c.c_void_p),
              ("n_attrs", c.c_size_t)]


class Lathe:
  def __init__(self, library, header):
    self.roles = enumerators(header)
    self.library = c.CDLL(str(library))
    self.library.lathe_last_error.restype = c.c_char_p
    self.context = c.c_void_p()
    self.check(self.library.lathe_context_create(None, c.byref(self.context)))

  def check(self, status):
    if status != 0:
      raise RuntimeError(f"status {status}: {self.library.lathe_last_error(self.context).decode()}")

  def tensor(self, array):
    shape = (c.c_int64 * array.ndim)(*array.shape)
    strides = (c.c_int64 * array.ndim)(*(step // array.itemsize for step in array.strides))
    code = 4 if array.dtype.name == "bfloat16" else 2
    return Tensor(array.ctypes.data, 1, 0, array.ndim, code, 8 * array.itemsize, 1, shape, strides, 0)

  def run(self, op, variant, scale, arrays):
    """Reads and writes `arrays`, by role."""
    tensors = {role: self.tensor(array) for role, array in arrays.items()}
    arguments = (Argument * len(tensors))(*(Argument(self.roles[role], c.pointer(t)) for role, t in tensors.items()))
    description = Description(c.sizeof(Description), op.encode(), variant.encode(), b"identity", scale)
    plan = c.c_void_p()
    n = c.c_size_t(len(tensors))
    self.check(self.library.lathe_plan_create(self.context, c.byref(description), arguments, n, c.byref(plan)))
    try:
      self.check(self.library.lathe_run(self.context, plan, arguments, n, None))
    finally:
      self.library.lathe_plan_destroy(plan)
