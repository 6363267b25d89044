// The Python module: texts in, numpy arrays out; the interpreter is free while C++ works.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <stdexcept>

#include "functions.h"
#include "html.h"
#include "keywords.h"
#include "ngrams.h"
#include "normalize.h"
#include "unigram.h"
#include "utf8.h"
#include "words.h"

namespace py = pybind11;
using namespace py::literals;

namespace taixue {
namespace {

// The texts of a sequence of str and bytes, kept alive; str objects remember their UTF-8.
class Input {
 public:
  explicit Input(const py::object& texts) : owner_(py::tuple(texts)) {
    texts_.reserve(owner_.size());
    for (const py::handle text : owner_) texts_.push_back(view(text));
  }
  const Texts& texts() const { return texts_; }
  size_t size() const { return texts_.size(); }
  py::object operator[](size_t k) const { return owner_[k]; }

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
  Texts texts_;
};

py::str to_str(const std::string& text) {
  PyObject* made = PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr);
  if (made == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(made);
}

// The text itself when it is a str already.
py::object as_str(const py::object& text) {
  return PyUnicode_Check(text.ptr()) ? text : text.attr("decode")();
}

// A numpy array that owns the vector.
template <typename Value, typename Item = Value>
py::array_t<Item> to_array(std::vector<Value>&& values, std::vector<py::ssize_t> shape) {
  auto* moved = new std::vector<Value>(std::move(values));
  py::capsule owner(moved, [](void* p) { delete static_cast<std::vector<Value>*>(p); });
  return py::array_t<Item>(std::move(shape), reinterpret_cast<const Item*>(moved->data()), owner);
}

template <typename Value, typename Item = Value>
py::tuple to_arrays(Ragged<Value>&& rows, py::ssize_t columns = 0) {
  std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(rows.values.size())};
  if (columns > 0) shape.push_back(columns);
  const auto count = static_cast<py::ssize_t>(rows.offsets.size());
  return py::make_tuple(to_array<Value, Item>(std::move(rows.values), shape), to_array(std::move(rows.offsets), {count}));
}

template <typename Function>
auto without_gil(Function function) {
  py::gil_scoped_release release;
  return function();
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

const CharacterTable& characters() {
  if (table().empty()) throw std::runtime_error("set_characters comes first");
  return table();
}

py::array_t<uint64_t> text_stats_of(const py::object& texts, int ngram) {
  const Input input(texts);
  constexpr auto kFields = static_cast<py::ssize_t>(sizeof(Stats) / 8);
  py::array_t<uint64_t> rows({static_cast<py::ssize_t>(input.size()), kFields});
  auto* out = reinterpret_cast<Stats*>(rows.mutable_data());
  without_gil([&] { text_stats(input.texts(), characters(), ngram, out); });
  return rows;
}

py::array_t<uint64_t> exact_hash_of(const py::object& texts) {
  const Input input(texts);
  py::array_t<uint64_t> out({static_cast<py::ssize_t>(input.size()), py::ssize_t{2}});
  uint64_t* data = out.mutable_data();
  without_gil([&] { exact_hash(input.texts(), data); });
  return out;
}

py::tuple paragraph_hashes_of(const py::object& texts) {
  const Input input(texts);
  auto rows = without_gil([&] { return paragraph_hashes(input.texts(), characters()); });
  return to_arrays<std::array<uint64_t, 2>, uint64_t>(std::move(rows), 2);
}

py::array_t<uint64_t> minhash_bands_of(const py::object& texts, std::vector<uint32_t> multipliers,
                                       std::vector<uint32_t> increments, int ngram, int bands) {
  const Input input(texts);
  const MinHash keys{std::move(multipliers), std::move(increments), ngram, bands};
  py::array_t<uint64_t> out({static_cast<py::ssize_t>(input.size()), static_cast<py::ssize_t>(bands)});
  uint64_t* data = out.mutable_data();
  without_gil([&] { minhash_bands(input.texts(), characters(), keys, data); });
  return out;
}

py::tuple mask_personal_of(const py::object& texts, unsigned kinds, const std::vector<std::string>& placeholders) {
  const Input input(texts);
  std::vector<int64_t> counts(input.size() * kPersonalKinds);
  const Masked masked = without_gil([&] { return mask_personal(input.texts(), kinds, placeholders, counts.data()); });
  py::list out(input.size());
  for (size_t k = 0; k < input.size(); ++k) {
    out[k] = masked.changed[k] ? py::object(to_str(masked.texts[k])) : as_str(input[k]);
  }
  const auto rows = static_cast<py::ssize_t>(input.size());
  return py::make_tuple(out, to_array(std::move(counts), {rows, kPersonalKinds}));
}

py::tuple segment_of(const py::object& texts) {
  const Input input(texts);
  auto found = without_gil([&] { return segment(input.texts(), characters()); });
  return py::make_tuple(to_arrays(std::move(found.first)), to_arrays(std::move(found.second)));
}

Normalizer make_normalizer(const py::array_t<uint32_t>& actions, std::vector<std::string> replacements, bool whitespace) {
  if (actions.size() != kPoints) throw py::value_error("there are 0x110000 actions");
  return Normalizer({actions.data(), actions.data() + kPoints}, std::move(replacements), whitespace);
}

// Texts, None where the whole algorithm is needed.
py::list normalize_texts(const Normalizer& normalizer, const py::object& texts) {
  const Input input(texts);
  std::vector<std::string> made(input.size());
  std::vector<Normalizer::Outcome> outcomes(input.size());
  without_gil([&] {
    for (size_t k = 0; k < made.size(); ++k) outcomes[k] = normalizer.run(input.texts()[k], made[k]);
  });
  py::list out(input.size());
  for (size_t k = 0; k < made.size(); ++k) {
    switch (outcomes[k]) {
      case Normalizer::Outcome::kSame: out[k] = as_str(input[k]); break;
      case Normalizer::Outcome::kChanged: out[k] = to_str(made[k]); break;
      case Normalizer::Outcome::kNeedsWhole: out[k] = py::none(); break;
    }
    std::string().swap(made[k]);
  }
  return out;
}

py::list without_html(const Html& html, const py::object& texts) {
  const Input input(texts);
  std::vector<std::string> made(input.size());
  std::vector<char> changed(input.size());
  without_gil([&] {
    for (size_t k = 0; k < made.size(); ++k) changed[k] = html.run(input.texts()[k], made[k]);
  });
  py::list out(input.size());
  for (size_t k = 0; k < made.size(); ++k) out[k] = changed[k] ? py::object(to_str(made[k])) : as_str(input[k]);
  return out;
}

Keywords make_keywords(const py::object& words) { return Keywords(Input(words).texts()); }

py::tuple find_keywords(const Keywords& keywords, const py::object& texts, bool longest) {
  const Input input(texts);
  auto found = without_gil([&] { return keywords.find(input.texts(), longest); });
  return to_arrays<Match, int32_t>(std::move(found), 3);
}

py::array_t<int64_t> count_keywords(const Keywords& keywords, const py::object& texts) {
  const Input input(texts);
  auto counts = without_gil([&] { return keywords.counts(input.texts()); });
  const auto size = static_cast<py::ssize_t>(counts.size());
  return to_array(std::move(counts), {size});
}

template <typename Value>
std::vector<Value> to_vector(const py::array_t<Value, py::array::c_style>& array) {
  return {array.data(), array.data() + array.size()};
}

Ngrams make_ngrams(const py::array_t<uint8_t, py::array::c_style>& kinds,
                   const py::array_t<uint32_t, py::array::c_style>& folded, int ngram,
                   const py::array_t<uint64_t, py::array::c_style>& hashes) {
  if (kinds.size() != kPoints || folded.size() != kPoints) throw py::value_error("there are 0x110000 characters");
  return Ngrams(to_vector(kinds), to_vector(folded), ngram, to_vector(hashes));
}

py::array_t<uint64_t> ngram_hashes(const Ngrams& ngrams, const py::object& texts) {
  const Input input(texts);
  auto found = without_gil([&] { return ngrams.hashes(input.texts()); });
  const auto size = static_cast<py::ssize_t>(found.size());
  return to_array(std::move(found), {size});
}

py::array_t<int64_t> find_ngrams(const Ngrams& ngrams, const py::object& texts) {
  const Input input(texts);
  auto found = without_gil([&] { return ngrams.find(input.texts()); });
  const auto size = static_cast<py::ssize_t>(found.size());
  return to_array<std::array<int64_t, 4>, int64_t>(std::move(found), {size, 4});
}

template <typename Id>
py::tuple encode_as(const Unigram& unigram, const py::object& texts, int32_t append) {
  const Input input(texts);
  Ragged<Id> out;
  without_gil([&] { unigram.encode(input.texts(), append, out); });
  return to_arrays(std::move(out));
}

std::unique_ptr<Unigram> make_unigram(const py::list& pieces, std::vector<float> scores, std::vector<uint8_t> types,
                                      const py::bytes& charsmap, std::array<bool, 5> flags) {
  UnigramModel model{{}, std::move(scores), std::move(types), charsmap, flags[0], flags[1], flags[2], flags[3], flags[4]};
  for (const py::handle piece : pieces) model.pieces.push_back(piece.cast<std::string>());
  return std::make_unique<Unigram>(model);
}

// uint8 (C,) word starts and uint8 (C,) tags of code points uint32 (C,).
py::tuple cut_words(const WordCutter& cutter, const py::array_t<uint32_t, py::array::c_style>& points) {
  py::array_t<uint8_t> starts(points.size()), tags(points.size());
  std::fill_n(starts.mutable_data(), starts.size(), uint8_t{0});
  const auto count = static_cast<size_t>(points.size());
  const uint32_t* data = points.data();
  uint8_t *out_starts = starts.mutable_data(), *out_tags = tags.mutable_data();
  without_gil([&] { cutter.run(data, count, out_starts, out_tags); });
  return py::make_tuple(starts, tags);
}

}  // namespace
}  // namespace taixue

namespace taixue {
void bind_masking(py::module_& m);  // masking_module.cc
}

PYBIND11_MODULE(_native, m) {
  using namespace taixue;
  m.doc() = "Hot loops of corpus work; taixue.data_tools.native is the door to them.";
  m.attr("VERSION") = 2;  // native/__init__.py expects the same: raise both when a signature or result changes
  m.def("set_characters", &set_characters);
  m.def("text_stats", &text_stats_of);
  m.def("exact_hash", &exact_hash_of);
  m.def("paragraph_hashes", &paragraph_hashes_of);
  m.def("minhash_bands", &minhash_bands_of);
  m.def("mask_personal", &mask_personal_of);
  m.def("segment", &segment_of);
  py::class_<Normalizer>(m, "Normalizer")
      .def(py::init(&make_normalizer))
      .def("run", &normalize_texts);
  py::class_<Html>(m, "Html")
      .def(py::init<std::unordered_map<std::string, std::string>, std::vector<std::string>,
                    std::unordered_set<std::string>, std::unordered_set<std::string>>())
      .def("run", &without_html);
  py::class_<Keywords>(m, "Keywords")
      .def(py::init(&make_keywords))
      .def("find", &find_keywords)
      .def("counts", &count_keywords);
  py::class_<Ngrams>(m, "Ngrams")
      .def(py::init(&make_ngrams))
      .def("hashes", &ngram_hashes)
      .def("find", &find_ngrams);
  py::class_<Unigram>(m, "Unigram")
      .def(py::init(&make_unigram))
      .def("encode_int32", &encode_as<int32_t>)
      .def("encode_uint16", &encode_as<uint16_t>);
  py::class_<WordCutter>(m, "WordCutter")
      .def(py::init<std::vector<std::u32string>, std::vector<double>, std::vector<uint8_t>, double, std::vector<char32_t>,
                    std::vector<std::array<double, 4>>, std::array<double, 4>, std::array<std::array<double, 4>, 4>,
                    std::u32string, std::array<uint8_t, 5>>())
      .def("run", &cut_words);
  bind_masking(m);
}
