// The Python module: batches of texts, and the table of characters.
#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "arguments.h"
#include "functions.h"

namespace taixue {
namespace {

OwnedBatch make_batch(const py::bytes& content, const py::array_t<int64_t, py::array::c_style | py::array::forcecast>& lengths) {
  char* data = nullptr;
  Py_ssize_t size = 0;
  PyBytes_AsStringAndSize(content.ptr(), &data, &size);
  const auto count = static_cast<size_t>(lengths.size());
  return {content, Batch(reinterpret_cast<const uint8_t*>(data), static_cast<size_t>(size), lengths.data(), count)};
}

OwnedBatch select_texts(const OwnedBatch& from, const py::array_t<int64_t, py::array::c_style | py::array::forcecast>& which) {
  Texts chosen;
  for (py::ssize_t k = 0; k < which.size(); ++k) chosen.push_back(from.batch.texts().at(static_cast<size_t>(which.data()[k])));
  return {from.content, Batch(std::move(chosen))};
}

py::bytes text_at(const OwnedBatch& from, size_t k) {
  if (k >= from.batch.texts().size()) throw py::index_error("no such text");
  const Text& text = from.batch.texts()[k];
  return py::bytes(reinterpret_cast<const char*>(text.data), text.size);
}

py::iterator texts_of(const OwnedBatch& from) {
  py::list texts;
  for (size_t k = 0; k < from.batch.texts().size(); ++k) texts.append(text_at(from, k));
  return py::iter(texts);
}

// The texts of all parts as one batch, where they are.
OwnedBatch gather(const py::object& parts) {
  py::list owners;
  Texts texts;
  for (const py::handle part : parts) {
    const Input input(py::reinterpret_borrow<py::object>(part));
    texts.insert(texts.end(), input.texts().begin(), input.texts().end());
    owners.append(input.owner());
  }
  return {owners, Batch(std::move(texts))};
}

// The UTF-8 of all texts, one after another.
py::bytes joined(const py::object& texts) {
  const Input input(texts);
  size_t size = 0;
  for (const Text& text : input.texts()) size += text.size;
  auto out = py::reinterpret_steal<py::bytes>(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size)));
  char* data = PyBytes_AS_STRING(out.ptr());
  for (const Text& text : input.texts()) {
    std::memcpy(data, text.data, text.size);
    data += text.size;
  }
  return out;
}

CharacterTable& table() {
  static CharacterTable made;
  return made;
}

void set_characters(const py::bytes& classes) {
  const std::string data = classes;
  if (data.size() != kPoints) throw py::value_error("the character table has 0x110000 entries");
  table().assign(data.begin(), data.end());
}

}  // namespace

const CharacterTable& characters() {
  if (table().empty()) throw std::runtime_error("set_characters comes first");
  return table();
}

namespace {

py::array_t<bool> are_blank_of(const py::object& texts) {
  const Input input(texts);
  py::array_t<bool> out(static_cast<py::ssize_t>(input.size()));
  bool* data = out.mutable_data();
  without_gil([&] { are_blank(input.texts(), characters(), data); });
  return out;
}

py::array_t<bool> are_equal(const py::object& left, const py::object& right) {
  const Input one(left), other(right);
  if (one.size() != other.size()) throw py::value_error("as many texts on both sides");
  py::array_t<bool> out(static_cast<py::ssize_t>(one.size()));
  std::transform(one.texts().begin(), one.texts().end(), other.texts().begin(), out.mutable_data(),
                 [](const Text& a, const Text& b) {
                   return a.size == b.size && (a.data == b.data || std::memcmp(a.data, b.data, a.size) == 0);
                 });
  return out;
}

py::array_t<int64_t> byte_counts_of(const py::object& texts) {
  const Input input(texts);
  py::array_t<int64_t> out(static_cast<py::ssize_t>(input.size()));
  std::transform(input.texts().begin(), input.texts().end(), out.mutable_data(),
                 [](const Text& text) { return static_cast<int64_t>(text.size); });
  return out;
}

}  // namespace
}  // namespace taixue

PYBIND11_MODULE(_native, m) {
  using namespace taixue;
  m.doc() = "Hot loops of corpus work; taixue.data_tools.native is the door to them.";
  m.attr("VERSION") = 7;  // extension.py expects the same: raise both when a signature or result changes
  m.def("set_characters", &set_characters);
  py::class_<OwnedBatch>(m, "Batch")
      .def(py::init(&make_batch))
      .def("__len__", [](const OwnedBatch& batch) { return batch.batch.texts().size(); })
      .def("__getitem__", &text_at)
      .def("__iter__", &texts_of)
      .def("select", &select_texts);
  m.def("gather", &gather);
  m.def("are_blank", &are_blank_of);
  m.def("are_equal", &are_equal);
  m.def("joined", &joined);
  m.def("byte_counts", &byte_counts_of);
  bind_texts(m);
  bind_words(m);
}
