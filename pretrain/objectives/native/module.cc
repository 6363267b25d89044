// The Python module that masks windows of tokens: numpy arrays in and out.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "span_windows.h"
#include "taixue/base/arrays.h"
#include "units.h"

namespace py = pybind11;

namespace taixue {
namespace {

// rows (B, N, bytes), or no three dimensions: no annotation.
Windows windows_of(const Array<int32_t>& tokens, const Array<uint8_t>& rows, const Array<uint64_t>& keys,
                   const Array<uint8_t>& special) {
  if (tokens.ndim() != 2 || keys.size() != tokens.shape(0)) throw py::value_error("tokens (B, N) need keys (B,)");
  if (tokens.shape(1) >= 1 << 20) throw py::value_error("a window has fewer than 2**20 tokens");
  const auto length = static_cast<size_t>(tokens.shape(1));
  Windows windows{tokens.data(), nullptr, keys.data(), static_cast<size_t>(tokens.shape(0)), length, 0, special.data()};
  const int32_t size = static_cast<int32_t>(special.size());
  if (!std::all_of(tokens.data(), tokens.data() + tokens.size(), [&](int32_t id) { return id >= 0 && id < size; })) {
    throw py::value_error("a token is outside the vocabulary");
  }
  if (rows.ndim() == 3) {
    if (rows.shape(0) != tokens.shape(0) || rows.shape(1) != tokens.shape(1) || rows.shape(2) < 4) {
      throw py::value_error("tokens (B, N) need rows (B, N, 4 or more)");
    }
    windows.rows = rows.data();
    windows.stride = static_cast<size_t>(rows.shape(2));
  }
  return windows;
}

const Array<uint8_t>& annotated(const Array<uint8_t>& rows) {
  if (rows.ndim() != 3) throw py::value_error("units need annotation rows");
  return rows;
}

UnitRules make_rules(std::array<int64_t, kUnitTypes> weights, std::array<double, kUnitTypes> caps, unsigned layers,
                     const std::vector<uint8_t>& idioms, const std::vector<uint8_t>& closing, int64_t longest_clause,
                     uint64_t pairs, std::vector<uint64_t> ngrams, bool relation) {
  UnitRules rules{weights, caps, layers, {}, {}, longest_clause, pairs, std::move(ngrams), relation};
  for (const uint8_t tag : idioms) rules.idioms[tag] = true;
  for (const uint8_t tag : closing) rules.closing[tag] = true;
  return rules;
}

Array<int32_t> choose_tokens_of(const Array<int32_t>& tokens, const Array<uint64_t>& keys, const Array<uint8_t>& special,
                                double share) {
  const Windows windows = windows_of(tokens, {}, keys, special);
  Array<int32_t> marks({tokens.shape(0), tokens.shape(1)});
  int32_t* out = marks.mutable_data();
  without_gil([&] { choose_tokens(windows, share, out); });
  return marks;
}

py::tuple choose_units_of(const Array<int32_t>& tokens, const Array<uint8_t>& rows, const Array<uint64_t>& keys,
                          const Array<uint8_t>& special, double share, const UnitRules& rules) {
  const Windows windows = windows_of(tokens, annotated(rows), keys, special);
  Array<int32_t> marks({tokens.shape(0), tokens.shape(1)});
  Array<int64_t> relations(tokens.shape(0));
  int32_t* out = marks.mutable_data();
  int64_t* out_relations = relations.mutable_data();
  without_gil([&] { choose_units(windows, share, rules, out, out_relations); });
  return py::make_tuple(marks, relations);
}

py::tuple unit_spans_of(const Array<int32_t>& tokens, const Array<uint8_t>& rows, const Array<uint64_t>& keys,
                        const Array<uint8_t>& special, int64_t noise, int64_t spans, const UnitRules& rules) {
  const Windows windows = windows_of(tokens, annotated(rows), keys, special);
  if (spans < 1 || noise < spans) throw py::value_error("each of the spans has at least one token");
  Array<int32_t> edges({tokens.shape(0), static_cast<py::ssize_t>(spans), py::ssize_t{2}});
  Array<int32_t> cuts(tokens.shape(0));
  int32_t *out = edges.mutable_data(), *out_cuts = cuts.mutable_data();
  without_gil([&] { unit_spans(windows, noise, spans, rules, out, out_cuts); });
  return py::make_tuple(edges, cuts);
}

// order_keys, replaced: None or an array. Returns input_ids, token_type_ids, labels, swapped, index (or None).
py::tuple lay_out_mlm_of(const Array<int32_t>& tokens, const Array<int32_t>& marks, const Array<uint64_t>& replacement_keys,
                         const std::optional<Array<uint64_t>>& order_keys, const std::optional<Array<int32_t>>& replaced,
                         const Array<int32_t>& ordinary, std::array<int32_t, 3> ids, unsigned per_unit, bool with_index) {
  const auto batch = tokens.shape(0), length = tokens.shape(1) + (order_keys ? 3 : 2);
  if (marks.size() != tokens.size() || replacement_keys.size() != batch || (order_keys && order_keys->size() != batch) ||
      (replaced && replaced->size() != tokens.size())) {
    throw py::value_error("arrays of different batches");
  }
  if (!replaced && ordinary.size() == 0) throw py::value_error("no ordinary token to replace others with");
  const Windows windows{tokens.data(), nullptr, nullptr, static_cast<size_t>(batch), static_cast<size_t>(tokens.shape(1)),
                        0, nullptr};
  const MlmLayout layout{replacement_keys.data(),
                         order_keys ? order_keys->data() : nullptr,
                         replaced ? replaced->data() : nullptr,
                         {ordinary.data(), ordinary.data() + ordinary.size()},
                         ids[0], ids[1], ids[2],
                         per_unit};
  Array<int64_t> input_ids({batch, length}), types({batch, length}), labels({batch, length}), swapped(batch);
  py::object index = py::none();
  MlmArrays out{input_ids.mutable_data(), types.mutable_data(), labels.mutable_data(), swapped.mutable_data(), nullptr};
  if (with_index) {
    Array<int64_t> made({batch, length});
    out.index = made.mutable_data();
    index = made;
  }
  without_gil([&] { lay_out_mlm(windows, marks.data(), layout, out); });
  return py::make_tuple(input_ids, types, labels, swapped, index);
}

// Arrays that are written in place. None: they are not wanted.
using Out = py::array_t<int64_t, py::array::c_style>;

int64_t* data_of(std::optional<Out>& array) { return array ? array->mutable_data() : nullptr; }

template <typename Value>
const Value* data_of(const std::optional<Array<Value>>& array) {
  return array ? array->data() : nullptr;
}

void lay_out_spans_of(const Array<int32_t>& tokens, const Array<int64_t>& begins, const Array<int64_t>& noise,
                      const Array<int64_t>& text, const Array<int64_t>& tail, const Array<int64_t>& sentinels, int64_t mode,
                      int64_t eos, int64_t start, const std::optional<Array<int64_t>>& documents,
                      const std::optional<Array<int64_t>>& shift, Out input_ids, Out labels, Out decoder_input_ids,
                      std::optional<Out> segments, std::optional<Out> decoder_segments, std::optional<Out> index) {
  const auto batch = tokens.shape(0);
  const auto is_like = [](const auto& array, const auto& other) { return !array || array->size() == other.size(); };
  if (tokens.ndim() != 2 || noise.ndim() != 2 || input_ids.ndim() != 2 || labels.ndim() != 2 || begins.size() != 3 * batch ||
      noise.shape(0) != batch || text.size() != noise.size() || tail.size() != batch || input_ids.shape(0) != batch ||
      labels.shape(0) != batch || decoder_input_ids.size() != labels.size() || !is_like(documents, tokens) ||
      !is_like(shift, tail) || !is_like(segments, input_ids) || !is_like(index, input_ids) ||
      !is_like(decoder_segments, labels) || (sentinels.size() > 0 && sentinels.size() != noise.shape(1)) ||
      (shift.has_value() != segments.has_value()) || (shift.has_value() != decoder_segments.has_value()) ||
      (documents && !shift)) {
    throw py::value_error("arrays that do not go together");
  }
  const Stretches stretches{tokens.data(), static_cast<size_t>(batch), static_cast<size_t>(tokens.shape(1)), begins.data(),
                            noise.data(), text.data(), tail.data(), static_cast<size_t>(noise.shape(1))};
  const SpanLayout layout{sentinels.size() > 0 ? sentinels.data() : nullptr, mode, eos, start, data_of(documents),
                          data_of(shift)};
  const SpanArrays out{input_ids.mutable_data(), data_of(segments), data_of(index), static_cast<size_t>(input_ids.shape(1)),
                       labels.mutable_data(), decoder_input_ids.mutable_data(), data_of(decoder_segments),
                       static_cast<size_t>(labels.shape(1))};
  if (!fits(stretches, layout, out)) throw py::value_error("spans that do not fit the window or the arrays");
  without_gil([&] { lay_out_spans(stretches, layout, out); });
}

Array<int64_t> compositions_of(const Array<uint64_t>& keys, int64_t total, int64_t parts) {
  if (parts < 1 || total < parts || total > 1 << 20) throw py::value_error("each of the parts is at least 1");
  Array<int64_t> made({keys.size(), static_cast<py::ssize_t>(parts)});
  int64_t* out = made.mutable_data();
  const auto batch = static_cast<size_t>(keys.size());
  without_gil([&] { compositions(keys.data(), batch, total, parts, out); });
  return made;
}

Tagged tagged_of(const Array<uint8_t>& rows, const Array<int64_t>& index, const std::optional<Array<uint8_t>>& masked) {
  if (rows.ndim() != 3 || rows.shape(2) < 4 || index.ndim() != 2 || index.shape(0) != rows.shape(0) ||
      (masked && masked->size() != index.size())) {
    throw py::value_error("index (B, S) needs rows (B, N, 4 or more)");
  }
  const int64_t window = rows.shape(1);
  if (!std::all_of(index.data(), index.data() + index.size(), [&](int64_t place) { return place < window; })) {
    throw py::value_error("an index outside the window");
  }
  return {rows.data(), static_cast<size_t>(rows.shape(0)), static_cast<size_t>(window), static_cast<size_t>(rows.shape(2)),
          index.data(), static_cast<size_t>(index.shape(1)), data_of(masked)};
}

// roles: their columns, or None. Returns pos, words, clauses, roles (or None).
py::tuple token_features_of(const Array<uint8_t>& rows, const Array<int64_t>& index,
                            const std::optional<Array<uint8_t>>& masked, bool hide_tags, bool hide_groups,
                            const std::optional<std::array<size_t, 3>>& roles) {
  const Tagged tagged = tagged_of(rows, index, masked);
  const auto batch = index.shape(0), length = index.shape(1);
  Array<int64_t> pos({batch, length}), words({batch, length}), clauses({batch, length});
  Features out{hide_tags, hide_groups, {}, pos.mutable_data(), words.mutable_data(), clauses.mutable_data(), nullptr};
  py::object made_roles = py::none();
  if (roles) {
    for (const size_t column : *roles) {
      if (column >= tagged.stride) throw py::value_error("a role outside the rows");
    }
    Array<int64_t> made({batch, length, py::ssize_t{3}});
    out.roles = *roles, out.role = made.mutable_data();
    made_roles = made;
  }
  without_gil([&] { token_features(tagged, out); });
  return py::make_tuple(pos, words, clauses, made_roles);
}

// masked None: no label counts; only_masked: those of masked tokens, else all.
py::tuple token_labels_of(const Array<uint8_t>& rows, const Array<int64_t>& index,
                          const std::optional<Array<uint8_t>>& masked, bool only_masked) {
  const Tagged tagged = tagged_of(rows, index, masked);
  Array<int64_t> pos({index.shape(0), index.shape(1)}), entity({index.shape(0), index.shape(1)});
  const Counted counted = !masked ? Counted::kNone : only_masked ? Counted::kMasked : Counted::kAll;
  int64_t *out = pos.mutable_data(), *out_entity = entity.mutable_data();
  without_gil([&] { token_labels(tagged, counted, out, out_entity); });
  return py::make_tuple(pos, entity);
}

}  // namespace
}  // namespace taixue

PYBIND11_MODULE(_native, m) {
  using namespace taixue;
  m.doc() = "Hot loops of masking; taixue.pretrain.objectives.native.masking is the door to them.";
  m.attr("VERSION") = 2;  // masking.py expects the same: raise both when a signature or result changes
  py::class_<UnitRules>(m, "UnitRules").def(py::init(&make_rules));
  m.def("choose_tokens", &choose_tokens_of);
  m.def("choose_units", &choose_units_of);
  m.def("unit_spans", &unit_spans_of);
  m.def("lay_out_mlm", &lay_out_mlm_of);
  m.def("lay_out_spans", &lay_out_spans_of, py::arg(), py::arg(), py::arg(), py::arg(), py::arg(), py::arg(), py::arg(),
        py::arg(), py::arg(), py::arg(), py::arg(), py::arg().noconvert(), py::arg().noconvert(), py::arg().noconvert(),
        py::arg().noconvert(), py::arg().noconvert(), py::arg().noconvert());
  m.def("compositions", &compositions_of);
  m.def("token_features", &token_features_of);
  m.def("token_labels", &token_labels_of);
}
