// What the ops library shows to other binaries; everything else in it is hidden.
#pragma once

#if defined(_WIN32)
#if defined(LEXISEG_OPS_BUILD)
#define LEXISEG_OPS_API __declspec(dllexport)
#else
#define LEXISEG_OPS_API __declspec(dllimport)
#endif
#else
#define LEXISEG_OPS_API __attribute__((visibility("default")))
#endif
