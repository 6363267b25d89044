// The part of the Python module that cleans texts and measures them.
#include "arguments.h"
#include "exact.h"
#include "functions.h"
#include "html.h"
#include "normalize.h"

namespace taixue {
namespace {

py::array_t<uint64_t> text_stats_of(const py::object& texts, int ngram) {
  const Input input(texts);
  constexpr auto kFields = static_cast<py::ssize_t>(sizeof(Stats) / 8);
  py::array_t<uint64_t> rows({static_cast<py::ssize_t>(input.size()), kFields});
  auto* out = reinterpret_cast<Stats*>(rows.mutable_data());
  without_gil([&] { text_stats(input.texts(), characters(), ngram, out); });
  return rows;
}

Identity make_identity(const py::array_t<uint32_t>& becomes, std::vector<std::u32string> longer) {
  if (becomes.size() != kPoints) throw py::value_error("there are 0x110000 characters");
  return {{becomes.data(), becomes.data() + kPoints}, std::move(longer)};
}

py::array_t<uint64_t> exact_hash_of(const Identity& identity, const py::object& texts) {
  const Input input(texts);
  py::array_t<uint64_t> out({static_cast<py::ssize_t>(input.size()), py::ssize_t{2}});
  uint64_t* data = out.mutable_data();
  without_gil([&] { identity.exact_hash(input.texts(), data); });
  return out;
}

py::tuple paragraph_hashes_of(const Identity& identity, const py::object& texts) {
  const Input input(texts);
  auto rows = without_gil([&] { return identity.paragraph_hashes(input.texts()); });
  return to_arrays<std::array<uint64_t, 3>, uint64_t>(std::move(rows), 3);
}

template <typename Item>
using Numbers = py::array_t<Item, py::array::c_style | py::array::forcecast>;

py::array_t<uint64_t> token_hash_of(const Numbers<int32_t>& tokens, const Numbers<int64_t>& lengths) {
  int64_t left = tokens.size();
  for (py::ssize_t k = 0; k < lengths.size(); ++k) {
    const int64_t length = lengths.data()[k];
    if (length < 0 || length > left) throw py::value_error("the lengths do not fit the tokens");
    left -= length;
  }
  py::array_t<uint64_t> out(lengths.size());
  uint64_t* data = out.mutable_data();
  without_gil([&] { token_hash(tokens.data(), lengths.data(), static_cast<size_t>(lengths.size()), data); });
  return out;
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

}  // namespace

void bind_texts(py::module_& m) {
  m.def("text_stats", &text_stats_of);
  m.def("token_hash", &token_hash_of);
  m.def("minhash_bands", &minhash_bands_of);
  m.def("mask_personal", &mask_personal_of);
  m.def("segment", &segment_of);
  py::class_<Identity>(m, "Identity")
      .def(py::init(&make_identity))
      .def("exact_hash", &exact_hash_of)
      .def("paragraph_hashes", &paragraph_hashes_of);
  py::class_<Normalizer>(m, "Normalizer")
      .def(py::init(&make_normalizer))
      .def("run", &normalize_texts)
      .def("run_batch", &normalize_batch);
  py::class_<Html>(m, "Html")
      .def(py::init<std::unordered_map<std::string, std::string>, std::vector<std::string>, Html::Words,
                    Html::Words, Html::Words, Html::Words>())
      .def("run", &without_html);
}

}  // namespace taixue
