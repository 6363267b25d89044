// The Python module: texts in, numpy arrays out; the interpreter is free while C++ works.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "annotate.h"
#include "batch.h"
#include "functions.h"
#include "html.h"
#include "json_lines.h"
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

template <typename Function>
auto without_gil(Function function) {
  py::gil_scoped_release release;
  return function();
}

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

// A Python object that owns a value.
template <typename Value>
py::capsule owning(Value* value) {
  return py::capsule(value, [](void* p) { delete static_cast<Value*>(p); });
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

py::array_t<int64_t> stable_order_of(const py::array_t<uint64_t, py::array::c_style>& keys) {
  py::array_t<int64_t> order(keys.size());
  const auto count = static_cast<size_t>(keys.size());
  const uint64_t* data = keys.data();
  int64_t* out = order.mutable_data();
  without_gil([&] {
    stable_order(data, count, out);
    return 0;
  });
  return order;
}

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
  return py::array_t<Item>(std::move(shape), reinterpret_cast<const Item*>(moved->data()), owning(moved));
}

template <typename Value, typename Item = Value>
py::tuple to_arrays(Ragged<Value>&& rows, py::ssize_t columns = 0) {
  std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(rows.values.size())};
  if (columns > 0) shape.push_back(columns);
  const auto count = static_cast<py::ssize_t>(rows.offsets.size());
  return py::make_tuple(to_array<Value, Item>(std::move(rows.values), shape), to_array(std::move(rows.offsets), {count}));
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

// (batch, the other lines int64 (S, 4), number of lines)
py::tuple json_texts_of(const py::bytes& block, const std::string& field, size_t limit) {
  char* data = nullptr;
  Py_ssize_t size = 0;
  PyBytes_AsStringAndSize(block.ptr(), &data, &size);
  auto* found = new JsonTexts;
  const py::capsule owner = owning(found);
  const Text text{reinterpret_cast<const uint8_t*>(data), static_cast<size_t>(size)};
  without_gil([&] { json_texts(text, field, limit, characters(), *found); });
  const auto rows = static_cast<py::ssize_t>(found->others.size());
  return py::make_tuple(OwnedBatch{py::make_tuple(block, owner), Batch(std::move(found->texts))},
                        to_array<std::array<int64_t, 4>, int64_t>(std::move(found->others), {rows, 4}), found->lines);
}

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

py::tuple paragraph_hashes_of(const py::object& texts) {
  const Input input(texts);
  auto rows = without_gil([&] { return paragraph_hashes(input.texts(), characters()); });
  return to_arrays<std::array<uint64_t, 3>, uint64_t>(std::move(rows), 3);
}

py::array_t<uint64_t> minhash_bands_of(const py::object& texts, std::vector<uint64_t> rounds, int ngram, int bands) {
  const Input input(texts);
  const MinHash keys{std::move(rounds), ngram, bands};
  py::array_t<uint64_t> out({static_cast<py::ssize_t>(input.size()), static_cast<py::ssize_t>(bands)});
  uint64_t* data = out.mutable_data();
  without_gil([&] { minhash_bands(input.texts(), characters(), keys, data); });
  return out;
}

// The texts that changed as they are now, the others where they were.
OwnedBatch made_from(const Input& input, std::vector<std::string>&& made, const std::vector<char>& changed) {
  auto* kept = new std::vector<std::string>(std::move(made));
  const py::capsule owner = owning(kept);
  Texts texts = input.texts();
  for (size_t k = 0; k < texts.size(); ++k) {
    if (changed[k]) texts[k] = {reinterpret_cast<const uint8_t*>((*kept)[k].data()), (*kept)[k].size()};
  }
  return {py::make_tuple(input.owner(), owner), Batch(std::move(texts))};
}

py::tuple mask_personal_of(const py::object& texts, unsigned kinds, const std::vector<std::string>& placeholders) {
  const Input input(texts);
  std::vector<int64_t> counts(input.size() * kPersonalKinds);
  Masked masked = without_gil([&] { return mask_personal(input.texts(), kinds, placeholders, counts.data()); });
  const auto rows = static_cast<py::ssize_t>(input.size());
  py::array_t<int64_t> found = to_array(std::move(counts), {rows, kPersonalKinds});
  if (py::isinstance<OwnedBatch>(texts)) return py::make_tuple(made_from(input, std::move(masked.texts), masked.changed), found);
  py::list out(input.size());
  for (size_t k = 0; k < input.size(); ++k) {
    out[k] = masked.changed[k] ? py::object(to_str(masked.texts[k])) : as_str(input[k]);
  }
  return py::make_tuple(out, found);
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

// (batch, int64 numbers of the texts that need the whole algorithm and are as they were)
py::tuple normalize_batch(const Normalizer& normalizer, const py::object& texts) {
  const Input input(texts);
  std::vector<std::string> made(input.size());
  std::vector<char> changed(input.size());
  std::vector<int64_t> whole;
  without_gil([&] {
    std::string text;
    for (size_t k = 0; k < made.size(); ++k) {
      const Normalizer::Outcome outcome = normalizer.run(input.texts()[k], text);
      changed[k] = outcome == Normalizer::Outcome::kChanged;
      if (changed[k]) made[k] = text;
      if (outcome == Normalizer::Outcome::kNeedsWhole) whole.push_back(static_cast<int64_t>(k));
    }
  });
  const auto count = static_cast<py::ssize_t>(whole.size());
  return py::make_tuple(made_from(input, std::move(made), changed), to_array(std::move(whole), {count}));
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
                   const py::array_t<uint32_t, py::array::c_style>& folded, int ngram) {
  if (kinds.size() != kPoints || folded.size() != kPoints) throw py::value_error("there are 0x110000 characters");
  return Ngrams(to_vector(kinds), to_vector(folded), ngram);
}

void add_ngrams(Ngrams& ngrams, const py::object& texts, int32_t owner) {
  const Input input(texts);
  without_gil([&] {
    ngrams.add(input.texts(), owner);
    return 0;
  });
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

py::tuple encode_with_starts(const Unigram& unigram, const py::object& texts, int32_t append) {
  const Input input(texts);
  Ragged<int32_t> out;
  std::vector<int32_t> starts;
  without_gil([&] { unigram.encode(input.texts(), append, out, starts); });
  const auto count = static_cast<py::ssize_t>(starts.size());
  return to_arrays(std::move(out)) + py::make_tuple(to_array(std::move(starts), {count}));
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
  const auto count = static_cast<size_t>(points.size());
  const uint32_t* data = points.data();
  uint8_t *out_starts = starts.mutable_data(), *out_tags = tags.mutable_data();
  without_gil([&] {
    WordCutter::Scratch scratch;
    std::vector<WordCutter::Word> words;
    cutter.cut(data, count, scratch, words);
    std::fill_n(out_starts, count, uint8_t{0});
    for (size_t k = 0; k < words.size(); ++k) {
      const size_t begin = words[k].begin, end = k + 1 < words.size() ? words[k + 1].begin : count;
      out_starts[begin] = 1;
      std::fill(out_tags + begin, out_tags + end, words[k].tag);
    }
  });
  return py::make_tuple(starts, tags);
}

using Offsets = py::array_t<int64_t, py::array::c_style>;

// uint8 (N, 4) rows and the counts, int64.
py::tuple annotation_rows(const Annotation& annotation, const py::object& texts, const Offsets& offsets,
                          const py::array_t<int32_t, py::array::c_style>& starts) {
  const Input input(texts);
  const auto size = static_cast<py::ssize_t>(input.size());
  const int64_t* place = offsets.data();
  if (offsets.size() != size + 1 || place[0] != 0 || place[size] != starts.size()) {
    throw py::value_error("offsets do not fit the texts and the tokens");
  }
  for (py::ssize_t k = 0; k < size; ++k) {
    if (place[k + 1] <= place[k]) throw py::value_error("a text without its end mark");
  }
  py::array_t<uint8_t> rows({starts.size(), static_cast<py::ssize_t>(sizeof(AnnotationRow))});
  py::array_t<int64_t> counts(sizeof(AnnotationCounts) / sizeof(int64_t));
  auto* out = reinterpret_cast<AnnotationRow*>(rows.mutable_data());
  auto* total = reinterpret_cast<AnnotationCounts*>(counts.mutable_data());
  *total = {};
  const int32_t* first = starts.data();
  without_gil([&] { annotation.rows(input.texts(), characters(), place, first, out, *total); });
  return py::make_tuple(rows, counts);
}

using Bytes = py::array_t<uint8_t, py::array::c_style>;

std::unique_ptr<Annotation> make_annotation(const WordCutter* cutter, const Keywords* lexicon, const Bytes& types,
                                            bool terms_on_words, const Bytes& names, const Keywords* connectives,
                                            const Bytes& single, const Bytes& clause_only, const Bytes& pairs, int reach,
                                            bool clauses, const Bytes& is_blank) {
  return std::make_unique<Annotation>(
      AnnotationRules{cutter, lexicon, to_vector(types), terms_on_words, to_vector(names), connectives, to_vector(single),
                      to_vector(clause_only), to_vector(pairs), reach, clauses},
      to_vector(is_blank));
}

}  // namespace
}  // namespace taixue

namespace taixue {
void bind_masking(py::module_& m);  // masking_module.cc
}

PYBIND11_MODULE(_native, m) {
  using namespace taixue;
  m.doc() = "Hot loops of corpus work; taixue.data_tools.native is the door to them.";
  m.attr("VERSION") = 3;  // native/__init__.py expects the same: raise both when a signature or result changes
  m.def("set_characters", &set_characters);
  py::class_<OwnedBatch>(m, "Batch")
      .def(py::init(&make_batch))
      .def("__len__", [](const OwnedBatch& batch) { return batch.batch.texts().size(); })
      .def("__getitem__", &text_at)
      .def("__iter__", &texts_of)
      .def("select", &select_texts);
  m.def("gather", &gather);
  m.def("json_texts", &json_texts_of);
  m.def("are_blank", &are_blank_of);
  m.def("are_equal", &are_equal);
  m.def("joined", &joined);
  m.def("stable_order", &stable_order_of);
  m.def("byte_counts", &byte_counts_of);
  m.def("text_stats", &text_stats_of);
  m.def("exact_hash", &exact_hash_of);
  m.def("paragraph_hashes", &paragraph_hashes_of);
  m.def("minhash_bands", &minhash_bands_of);
  m.def("mask_personal", &mask_personal_of);
  m.def("segment", &segment_of);
  py::class_<Normalizer>(m, "Normalizer")
      .def(py::init(&make_normalizer))
      .def("run", &normalize_texts)
      .def("run_batch", &normalize_batch);
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
      .def("add", &add_ngrams)
      .def("finish", &Ngrams::finish)
      .def("size", &Ngrams::size)
      .def("find", &find_ngrams);
  py::class_<Unigram>(m, "Unigram")
      .def(py::init(&make_unigram))
      .def("encode_int32", &encode_as<int32_t>)
      .def("encode_uint16", &encode_as<uint16_t>)
      .def("encode_with_starts", &encode_with_starts);
  py::class_<WordCutter>(m, "WordCutter")
      .def(py::init<std::string, std::vector<std::string>, std::vector<char32_t>, std::vector<std::array<double, 4>>,
                    std::array<double, 4>, std::array<std::array<double, 4>, 4>, std::u32string,
                    std::array<uint8_t, 5>>())
      .def("run", &cut_words);
  py::class_<Annotation>(m, "Annotation")
      .def(py::init(&make_annotation), py::keep_alive<1, 2>(), py::keep_alive<1, 3>(), py::keep_alive<1, 7>())
      .def("rows", &annotation_rows);
  bind_masking(m);
}
