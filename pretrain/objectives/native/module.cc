// The Python module that masks windows of tokens: numpy arrays in and out.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

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

}  // namespace
}  // namespace taixue

PYBIND11_MODULE(_native, m) {
  using namespace taixue;
  m.doc() = "Hot loops of masking; taixue.pretrain.objectives.native.masking is the door to them.";
  m.attr("VERSION") = 1;  // masking.py expects the same: raise both when a signature or result changes
  py::class_<UnitRules>(m, "UnitRules").def(py::init(&make_rules));
  m.def("choose_tokens", &choose_tokens_of);
  m.def("choose_units", &choose_units_of);
  m.def("unit_spans", &unit_spans_of);
  m.def("lay_out_mlm", &lay_out_mlm_of);
}
