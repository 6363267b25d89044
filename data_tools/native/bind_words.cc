// The part of the Python module that finds words and n-grams, and encodes and annotates texts.
#include <optional>

#include "annotate.h"
#include "arguments.h"
#include "keywords.h"
#include "ngrams.h"
#include "unigram.h"
#include "words.h"

namespace taixue {
namespace {

Keywords make_keywords(const py::object& words) { return Keywords(Input(words).texts()); }

using Bytes = py::array_t<uint8_t, py::array::c_style>;

py::tuple all_keywords(const Keywords& keywords, const py::object& texts) {
  const Input input(texts);
  auto found = without_gil([&] { return keywords.all(input.texts()); });
  return to_arrays<Match, int32_t>(std::move(found), 3);
}

py::tuple longest_keywords(const Keywords& keywords, const py::object& texts, const std::optional<Bytes>& edges) {
  const Input input(texts);
  const auto marks = edges ? to_vector(*edges) : std::vector<uint8_t>();
  auto found = without_gil([&] { return keywords.longest(input.texts(), edges ? &marks : nullptr); });
  return to_arrays<Match, int32_t>(std::move(found), 3);
}

py::array_t<int64_t> count_keywords(const Keywords& keywords, const py::object& texts) {
  const Input input(texts);
  auto counts = without_gil([&] { return keywords.counts(input.texts()); });
  const auto size = static_cast<py::ssize_t>(counts.size());
  return to_array(std::move(counts), {size});
}

Ngrams make_ngrams(const py::array_t<uint32_t, py::array::c_style>& entries, std::vector<std::vector<uint32_t>> several,
                   int ngram) {
  if (entries.size() != kPoints) throw py::value_error("there are 0x110000 characters");
  return Ngrams(Splitter(to_vector(entries), std::move(several)), ngram);
}

py::array_t<int64_t> add_ngrams(Ngrams& ngrams, const py::object& texts, int32_t owner) {
  const Input input(texts);
  auto counts = without_gil([&] { return ngrams.add(input.texts(), owner); });
  const auto size = static_cast<py::ssize_t>(counts.size());
  return to_array(std::move(counts), {size});
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

void bind_words(py::module_& m) {
  py::class_<Keywords>(m, "Keywords")
      .def(py::init(&make_keywords))
      .def("all", &all_keywords)
      .def("longest", &longest_keywords)
      .def("counts", &count_keywords);
  py::class_<Ngrams>(m, "Ngrams")
      .def(py::init(&make_ngrams))
      .def("add", &add_ngrams)
      .def("finish", &Ngrams::finish)
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
}

}  // namespace taixue
