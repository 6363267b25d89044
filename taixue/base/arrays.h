// What the Python modules share: numpy arrays in and out, the interpreter free while C++ works.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <utility>
#include <vector>

namespace taixue {

template <typename Value>
using Array = pybind11::array_t<Value, pybind11::array::c_style>;

template <typename Function>
auto without_gil(Function function) {
  pybind11::gil_scoped_release release;
  return function();
}

template <typename Value>
std::vector<Value> to_vector(const Array<Value>& array) {
  return {array.data(), array.data() + array.size()};
}

// A Python object that owns a value.
template <typename Value>
pybind11::capsule owning(Value* value) {
  return pybind11::capsule(value, [](void* p) { delete static_cast<Value*>(p); });
}

// A numpy array that owns the vector.
template <typename Value, typename Item = Value>
pybind11::array_t<Item> to_array(std::vector<Value>&& values, std::vector<pybind11::ssize_t> shape) {
  auto* moved = new std::vector<Value>(std::move(values));
  return pybind11::array_t<Item>(std::move(shape), reinterpret_cast<const Item*>(moved->data()), owning(moved));
}

}  // namespace taixue
