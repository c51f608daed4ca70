// Element types: their names in lib/native.ts, and the typed arrays that show them.
#pragma once

#include <c10/core/ScalarType.h>
#include <napi.h>

#include <optional>
#include <string>

namespace lexiseg {

struct DType {
  const char* name;
  at::ScalarType scalar;
  napi_typedarray_type array;
};

// Null for a type that has no name.
const DType* dtype_of(at::ScalarType scalar);
const DType* dtype_named(const std::string& name);

// Whether a typed array of this kind may hold elements of the dtype.
bool array_fits(napi_typedarray_type array, const DType& dtype);

}  // namespace lexiseg
