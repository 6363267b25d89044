// What functions of the Python module take and give: texts in, numpy arrays out.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <utility>
#include <vector>

#include "batch.h"
#include "characters.h"
#include "taixue/base/arrays.h"
#include "utf8.h"

namespace taixue {

namespace py = pybind11;

// module.cc. What set_characters was given; std::runtime_error before that.
const CharacterTable& characters();

// A batch and the Python object that holds its bytes.
struct OwnedBatch {
  py::object content;
  Batch batch;
};

// The texts of a sequence of str and bytes, or of a batch, kept alive; str objects remember their UTF-8.
class Input {
 public:
  explicit Input(const py::object& texts) {
    if (py::isinstance<OwnedBatch>(texts)) {
      texts_ = texts.cast<const OwnedBatch&>().batch.texts();
      batch_ = texts;
      return;
    }
    owner_ = py::tuple(texts);
    texts_.reserve(owner_.size());
    for (const py::handle text : owner_) texts_.push_back(view(text));
  }
  const Texts& texts() const { return texts_; }
  size_t size() const { return texts_.size(); }
  // What keeps the texts alive.
  py::object owner() const { return batch_ ? batch_ : py::object(owner_); }
  py::object operator[](size_t k) const { return batch_ ? batch_.attr("__getitem__")(k) : py::object(owner_[k]); }

 private:
  static Text view(const py::handle text) {
    Py_ssize_t size = 0;
    if (PyUnicode_Check(text.ptr())) {
      const char* data = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
      if (data == nullptr) throw py::error_already_set();  // lone surrogates
      return {reinterpret_cast<const uint8_t*>(data), static_cast<size_t>(size)};
    }
    char* data = nullptr;
    if (!PyBytes_Check(text.ptr())) throw py::type_error("a text is str or bytes");
    PyBytes_AsStringAndSize(text.ptr(), &data, &size);
    const auto* bytes = reinterpret_cast<const uint8_t*>(data);
    if (!is_valid_utf8(bytes, static_cast<size_t>(size))) throw py::value_error("a text is not UTF-8");
    return {bytes, static_cast<size_t>(size)};
  }

  py::tuple owner_;
  py::object batch_;
  Texts texts_;
};

inline py::str to_str(const std::string& text) {
  PyObject* made = PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr);
  if (made == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(made);
}

// The text itself when it is a str already.
inline py::object as_str(const py::object& text) {
  return PyUnicode_Check(text.ptr()) ? text : text.attr("decode")();
}

template <typename Value, typename Item = Value>
py::tuple to_arrays(Ragged<Value>&& rows, py::ssize_t columns = 0) {
  std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(rows.values.size())};
  if (columns > 0) shape.push_back(columns);
  const auto count = static_cast<py::ssize_t>(rows.offsets.size());
  return py::make_tuple(to_array<Value, Item>(std::move(rows.values), shape), to_array(std::move(rows.offsets), {count}));
}

// bind_*.cc: each adds its part of the module.
void bind_texts(py::module_& m);
void bind_words(py::module_& m);

}  // namespace taixue
