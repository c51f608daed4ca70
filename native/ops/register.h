// The operators' schemas, registered once in a process whatever loads this library how often.
#pragma once

#include "ops/export.h"

namespace lexiseg::ops {

// Version of the schemas.
LEXISEG_OPS_API const char* version();

// Why the operators of this library are not the registered ones, or "".
LEXISEG_OPS_API const char* registration_error();

}  // namespace lexiseg::ops

extern "C" {
LEXISEG_OPS_API const char* lexiseg_ops_version();
LEXISEG_OPS_API const char* lexiseg_ops_registration_error();
}
